"""What every target that writes text needs: identifiers, comments, tables of numbers, and where a file came from.

Names and texts come out of a model file, which anybody may have made. They reach source text in three ways only: as
`Names.unique` or `identifier` (letters, digits, underscores), through `harmless` into a comment, and through `quoted`
into a string. `put` writes the files, and refuses what none of these lets through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError, printable
from binarynet.export.options import C_KEYWORDS, Options
from binarynet.format import to_bytes
from binarynet.graph import Graph, Op


class Names:
    """Identifiers that are valid in C and in Verilog, and used once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(C_KEYWORDS) | set(taken)

    def unique(self, text: str) -> str:
        """``features.3`` → features_3; if that is taken, features_3_2 and so on. Macros are capitals: NAN → nan."""
        plain = identifier(text)
        plain = plain.lower() if plain.isupper() else plain
        candidates = (plain if k == 1 else f"{plain}_{k}" for k in count(1))
        found = next(name for name in candidates if name not in self._taken)
        self._taken.add(found)
        return found


_LONGEST = 80  # characters of an identifier: file names are made of them, and no compiler is asked for more


def identifier(text: str) -> str:
    """Any text as an identifier: what is no ASCII letter, digit or underscore becomes one underscore."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text[:_LONGEST]).strip("_") or "op"
    return plain if plain[0].isalpha() else f"op{plain}"


def unsupported(target: str, op: Op, why: str) -> ExportError:
    """The error for an op that a target cannot express: ``why`` says what, and the way out."""
    return ExportError(f"{op.name} ({type(op).__name__}): the target {target} {why}")


def release() -> str:
    """``binarynet 0.1.0``."""
    try:
        return f"binarynet {version('binarynet')}"
    except PackageNotFoundError:  # run from a source tree
        return "binarynet"


def digest(graph: Graph) -> str:
    """The SHA-256 that the graph's `.bnn` file carries."""
    found = re.search(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"', to_bytes(graph))
    assert found is not None, "the container writes it"
    return found[1].decode()


def provenance(graph: Graph, options: Options) -> list[str]:
    """Lines for the head of a file: what wrote it, from which model, and how to do so again."""
    lines = [f"Written by {release()}.", f"Model: sha256 {digest(graph)}"]
    lines += [f"  - {key}: {', '.join(text.splitlines())}" for key, text in graph.meta.items()]
    lines += [f"Command: {options.command}"] if options.command else []
    return [printable(line) for line in lines]


def harmless(text: str) -> str:
    """Any text as a part of one line of a comment, in every language that is written here.

    Line breaks and what is not printable become escapes. A backslash, which would join two lines, becomes ``<5c>``;
    nothing begins or ends a comment, and two question marks, which begin a trigraph, are kept apart.
    """
    shown = printable(text.replace("\\", "<5c>")).replace("\n", " ").replace("\\", "<5c>")
    return re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", shown)


def comment(lines: Iterable[str]) -> str:
    """Lines as one block comment of C."""
    return "/* " + "\n".join(f" * {harmless(line)}".rstrip() for line in lines).lstrip(" *") + "\n */\n"


def line_comments(lines: Iterable[str], mark: str = "//") -> str:
    """Lines as comments of Verilog, in ASCII, which is all that its tools agree on; of Python and YAML by ``#``."""
    plain = (harmless(line).encode("ascii", "replace").decode() for line in lines)
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in plain)


def quoted(text: str) -> str:
    """Any text as a string literal of C: printable, other bytes than plain ASCII in octal."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in printable(text).encode()
    )
    return f'"{"".join(plain)}"'


def integer_type(low: int, high: int) -> str:
    """The narrowest signed type of <stdint.h> that holds low … high."""
    for bits in (8, 16, 32):
        if -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return f"int{bits}_t"
    raise ValueError(f"{low} … {high} does not fit 32 bits")


def words(bits: int, word: int) -> int:
    """How many words of ``word`` bits hold ``bits`` bits."""
    return -(-bits // word)


def pack_words(bits: NDArray[np.bool_], word: int) -> NDArray[Any]:
    """(…, length) → (…, words), bit i mod word of word i div word; the tail is 0."""
    length = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], words(length, word) * word), bool)
    padded[..., :length] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view(f"<u{word // 8}")


def number(value: Any, kind: str) -> str:
    """One literal. ``kind``: a type of C, or word32 / word64."""
    if kind.startswith("word"):
        digits = int(kind[4:]) // 4
        return f"0x{int(value):0{digits}x}" + ("u" if digits == 8 else "ull")
    if kind == "float":
        return real(value)
    if int(value) == -(2**31):
        return "INT32_MIN"  # the literal 2147483648 does not fit the type that it is negated in
    return str(int(value))


def real(value: Any) -> str:
    """A float32 in 9 significant digits, which bring back the same 32 bits."""
    if np.isinf(value):
        return "-INFINITY" if value < 0 else "INFINITY"
    text = f"{float(value):.9g}"
    return (text if re.search(r"[.e]", text) else f"{text}.0") + "f"


def table(array: NDArray[Any], kind: str, indent: str = "") -> str:
    """An array as an initializer of C, with a pair of braces for each axis."""
    if array.ndim > 1:
        rows = ",\n".join(table(row, kind, indent + "    ") for row in array)
        return f"{indent}{{\n{rows}\n{indent}}}"
    words = [number(value, kind) for value in array.tolist()]
    if sum(map(len, words)) + 2 * len(words) + len(indent) < 108:
        return f"{indent}{{{', '.join(words)}}}"
    inner = indent + "    "
    each = max(1, (110 - len(inner)) // (max(map(len, words)) + 2))
    lines = [inner + ", ".join(words[start : start + each]) for start in range(0, len(words), each)]
    return f"{indent}{{\n" + ",\n".join(lines) + f"\n{indent}}}"


def put(folder: Path, name: str, text: str) -> Path:
    """Write one file of source and return its path.

    Raises:
        ExportError: it holds what steers a terminal or an editor, which `harmless` would have kept out.
    """
    bad = next((char for char in text if not char.isprintable() and char not in "\n\t"), None)
    if bad is not None:
        raise ExportError(f"{name}: U+{ord(bad):04X} has no place in source; please report this model")
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
