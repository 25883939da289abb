"""Text of C, line by line: indentation, comments and tables stand here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from binarynet.export.emit import harmless, table


@dataclass(frozen=True)
class Table:
    """A constant array."""

    name: str
    kind: str  # a type of C
    array: NDArray[Any]
    note: str

    def bytes(self, word: int) -> int:
        size = {"word": word // 8, "int8_t": 1, "uint8_t": 1, "int16_t": 2, "int64_t": 8}.get(self.kind, 4)
        return int(self.array.size) * size


class Writer:
    """Lines of C. Whatever comes from a model passes through `note`."""

    def __init__(self, *lines: str) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self.add(*lines)

    def add(self, *lines: str) -> None:
        self._lines += [f"{'    ' * self._depth}{line}".rstrip() for line in lines]

    @classmethod
    def inside(cls) -> Writer:
        """Lines that will stand in a function."""
        made = cls()
        made._depth = 1
        return made

    def append(self, other: Writer) -> None:
        self._lines += other._lines

    @contextmanager
    def block(self, opening: str, last: str = "}") -> Iterator[None]:
        """``opening {``, what is added meanwhile, ``}``."""
        self.add(f"{opening} {{")
        self._depth += 1
        yield
        self._depth -= 1
        self.add(last)

    @contextmanager
    def function(self, signature: str, about: str = "") -> Iterator[None]:
        """A function behind an empty line, with a comment on what it does."""
        self.add("", *([note(about)] if about else []), signature, "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.add("}")

    def table(self, one: Table, word: int) -> None:
        sizes = "".join(f"[{size}]" for size in one.array.shape)
        contents = table(one.array, f"word{word}" if one.kind == "word" else one.kind)
        self.add(note(one.note), *f"static const FLASH {one.kind} {one.name}{sizes} = {contents};".splitlines())

    @property
    def text(self) -> str:
        return "\n".join([*self._lines, ""])


def note(text: str) -> str:
    """A comment of one line."""
    return f"/* {harmless(' '.join(text.split()))} */"


def head(lines: Iterable[str]) -> list[str]:
    """A comment of many lines, as the first thing in a file."""
    first, *rest = (harmless(line) for line in lines)
    return [f"/* {first}", *(f" * {line}".rstrip() for line in rest), " */"]
