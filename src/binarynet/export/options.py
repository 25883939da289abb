"""What a user may choose for an export. Each target has its own class of options; the command line is made of them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from binarynet.errors import ExportError

_KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm bool true
    false class delete new private protected public template this throw try catch namespace operator using virtual
    friend export typename main errno NULL alignas alignof and and_eq atomic_cancel atomic_commit atomic_noexcept
    bitand bitor char8_t char16_t char32_t compl concept consteval constexpr constinit const_cast co_await co_return
    co_yield decltype dynamic_cast explicit mutable noexcept not not_eq nullptr or or_eq reinterpret_cast requires
    static_assert static_cast synchronized thread_local typeid typeof wchar_t xor xor_eq linux unix i386
"""
C_KEYWORDS = frozenset(_KEYWORDS.split())  # of C and C++, and what compilers define in lower case
One = TypeVar("One", bound="Options")


def choice(default: Any, help: str, metavar: str | None = None, changes_files: bool = True) -> Any:
    """A field that is an option of the command line, ``--name`` (underscores become hyphens). Its annotation says
    what it takes: ``bool`` is a switch, ``tuple[str, ...]`` may be repeated. What changes no file stands in none."""
    return field(default=default, metadata={"help": help, "metavar": metavar, "files": changes_files})


@dataclass(frozen=True)
class Options:
    """What every target has.

    ``api`` begins every public name, ``command`` is written into the head of the files so that they can be made
    again, ``name`` is the file's where a target writes a single one; without it, ``api``.
    """

    api: str = "model"
    command: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.api) or self.api in C_KEYWORDS or len(self.api) > 40:
            raise ExportError(
                f"api {self.api!r} is not an identifier of C: a letter, then letters, digits and underscores, "
                "at most 40, and no keyword"
            )

    def file(self, suffix: str) -> str:
        """``net`` → net.onnx, for targets that write a single file."""
        return f"{self.name or self.api}{suffix}"

    @classmethod
    def choices(cls) -> dict[str, Any]:
        """The fields that are options of this target alone, by name."""
        return {one.name: one for one in fields(cls) if "help" in one.metadata}

    def flags(self) -> str:
        """What made the files, as the command line takes it, each behind a blank; defaults are left out."""
        said = ""
        for name, one in self.choices().items():
            value, flag = getattr(self, name), f" --{name.replace('_', '-')}"
            if isinstance(value, bool):
                said += flag * (value and one.metadata["files"])
            elif value != one.default and one.metadata["files"]:
                each = value if isinstance(value, tuple) else (value,)
                said += "".join(f"{flag} {shlex.quote(str(text))}" for text in each)
        return said

    def of(self, kind: type[One]) -> One:
        """The same choices as options of another target; what it does not have is left out, what is new its default."""
        if isinstance(self, kind):
            return self
        shared = {one.name for one in fields(kind)} & {one.name for one in fields(self)}
        return kind(**{name: getattr(self, name) for name in shared})

    def with_command(self: One, command: str) -> One:
        return replace(self, command=command)


@dataclass(frozen=True)
class WordOptions(Options):
    """For what packs bits into words."""

    word: int = choice(64, "Bits of a machine word: 32 for microcontrollers, or 64.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.word not in self.words():
            raise ExportError(f"words of {self.word} bits: choose {', '.join(map(str, self.words()))}")

    @classmethod
    def words(cls) -> tuple[int, ...]:
        """The sizes that the target takes."""
        return (32, 64)
