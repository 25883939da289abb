"""Linear and Conv2d as C: dot products by counting bits, or, where an operand is real, by adding.

Every integer operand is a number written in binary digits (`binarynet.graph.encoding`). For one patch x and one row of
weights w::

    x = low + step · code          code = Σ 2^n X_n,  X_n a plane of 0 and 1
    b1 … b8 weights                w = Σ 2^j (2 W_j − 1)           S = Σ 2^(n + j) popcount(X_n ^ W_j)
    t2 weights                     w = P or −P where N is 1        S = Σ 2^n popcount((X_n ^ P) & N)
    u and i weights                w = Σ ±2^j W_j                  S = Σ ±2^(n + j) popcount(X_n & W_j)

Then ``x · w = base − step · S`` (``base + step · S`` for u and i weights), where base depends on w alone, and for most
nets on nothing: it is depth for ±1 times ±1.

A zero outside the image is a code of most encodings. It is none of the bipolar ones; there the digits outside are 0,
which mean ``low``, and what they add is taken out again at the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.c.plan import Layer, Stored
from binarynet.export.emit import Names, integer_type, pack_words
from binarynet.format.bits import planes
from binarynet.graph import Encoding
from binarynet.graph.ir import Conv2d, Linear


@dataclass(frozen=True)
class Table:
    """A constant array of the C file."""

    name: str
    kind: str  # a type of C
    array: NDArray[Any]
    note: str

    def bytes(self, word: int) -> int:
        size = {"word": word // 8, "int8_t": 1, "uint8_t": 1, "int16_t": 2}.get(self.kind, 4)
        return int(self.array.size) * size


@dataclass(frozen=True)
class Scratch:
    """Memory that a layer needs while it runs."""

    name: str
    kind: str
    count: int


@dataclass(frozen=True)
class Product:
    """The parts of a product's C: ``setup`` runs once, ``patch`` at each place and group, ``lines`` for each c."""

    tables: tuple[Table, ...]
    scratch: tuple[Scratch, ...]
    setup: tuple[str, ...]
    patch: tuple[str, ...]
    lines: tuple[str, ...]
    result: str  # the type of acc


def narrow(name: str, numbers: NDArray[Any], note: str) -> Table:
    return Table(name, integer_type(int(numbers.min()), int(numbers.max())), numbers, note)


def product(layer: Layer, op: Linear | Conv2d, names: Names, word: int) -> Product:
    """The C of one product."""
    x = layer.sources[0]
    if x.kind == "f32" or op.weight_encoding == "f32":
        return _real(op, x, names.unique(f"{op.name}_weight"), word)
    return _integer(op, x, names, word)


def _integer(op: Linear | Conv2d, x: Stored, names: Names, word: int) -> Product:
    encoding = Encoding.parse(op.weight_encoding)
    rows = op.weight.reshape(len(op.weight), -1)
    out, depth = rows.shape
    digits = np.moveaxis(planes(rows, encoding), 0, 1)  # (out, planes, depth)
    packed = pack_words(digits, word)  # (out, planes, words)
    count, length = packed.shape[1:]
    weight = names.unique(f"{op.name}_weight")
    note = f"{out} rows of {depth} {encoding}, {'a bit each' if count == 1 else 'one plane after the other'}"
    tables = [Table(weight, "word", packed[:, 0] if count == 1 else packed, note)]

    masked = _masked(op, x)
    setup, patch, scratch, name = _patch(op, x, depth, length, masked)
    highest = max(x.value.encoding.magnitude, (1 << x.planes) - 1)
    kind = "int32_t" if 2 * depth * highest * encoding.magnitude < 2**31 else "int64_t"
    summed = _sum(x, encoding, name, length, kind)
    row = f"const word *w = {weight}[c]{'' if count == 1 else '[0]'};"
    start = f"{kind} sum = 0;"
    times = "sum" if x.step == 1 else f"{x.step} * sum"

    if masked and str(encoding) == "b1":
        # Only what is inside counts, so the depth is that of the inside.
        patch.append("const int32_t inside = gather_inside(&view, row, column, mask);")
        scratch.append(Scratch("mask", "word", length))
        where = [
            line.replace("xor_count(", "xor_count_where(").replace(f", {length})", f", mask, {length})")
            for line in summed
        ]
        lines = [
            row,
            start,
            f"if (inside == {depth}) {{",
            *("    " + line for line in summed),
            "} else { /* the numbers outside are 0: leave them out */",
            *("    " + line for line in where),
            "}",
            _accumulator(kind, f"{'inside' if x.low == -1 else f'{-x.low} * inside'} - {times}"),
        ]
        return Product(tuple(tables), tuple(scratch), tuple(setup), tuple(patch), tuple(lines), "int32_t")

    base = _base(x, rows, digits, encoding)
    first = str(int(base[0]))
    if not np.all(base == base[0]):
        tables.append(narrow(names.unique(f"{op.name}_base"), base, "what x . w is where no bit counts"))
        first = f"{tables[-1].name}[c]"
    lines = [row, f"const {kind} {summed[0]}"] if x.planes == 1 else [row, start, *summed]
    lines.append(_accumulator(kind, f"{first} {'+' if encoding.kind in 'ui' else '-'} {times}"))
    if masked:
        scratch.append(Scratch("mask", "word", length))
        patch += [
            f"memset(mask, 0, {length} * sizeof *mask);",
            "const int32_t outside = gather_outside(&view, row, column, mask);",
        ]
        lines[-1] = lines[-1].removeprefix("const ")
        lines.append(f"if (outside) /* there the digits 0 meant {x.low}, not 0 */")
        lines.append(f"    acc += {-x.low} * ({_outside(encoding, length, count)});")
    return Product(tuple(tables), tuple(scratch), tuple(setup), tuple(patch), tuple(lines), "int32_t")


def _patch(
    op: Linear | Conv2d, x: Stored, depth: int, length: int, masked: bool
) -> tuple[list[str], list[str], list[Scratch], str]:
    """How the bits under the window come together: lines to run once, lines for each place, scratch, and their name."""
    if isinstance(op, Linear):
        if x.kind == "bits":
            return [], [], [], "x"
        scratch = [Scratch("digits", "word", x.planes * length)]
        return [f"split(x, {depth}, {x.planes}, digits, {length});"], [], scratch, "digits"
    if x.kind == "bits":
        patch = ["gather_bits(&view, x, row, column, group, patch);"]
        if _padded(op) and op.pad_value == 1:
            patch.append("gather_outside(&view, row, column, patch); /* +1 outside the image */")
        return [], patch, [Scratch("patch", "word", length)], "patch"
    fill = (op.pad_value - x.low) // x.step if _padded(op) and not masked else 0
    patch = [
        f"gather_codes(&view, x, row, column, group, codes, {fill});",
        f"split(codes, {depth}, {x.planes}, digits, {length});",
    ]
    return [], patch, [Scratch("codes", "uint8_t", depth), Scratch("digits", "word", x.planes * length)], "digits"


def _sum(x: Stored, encoding: Encoding, name: str, length: int, kind: str) -> list[str]:
    """S, over the planes of w and, in a loop, of x."""
    at = name if x.planes == 1 else f"{name} + n * {length}"
    if encoding.kind == "t":
        terms = [f"xor_count_where({at}, w + {length}, w, {length})"]
    else:
        helper = "xor_count" if encoding.kind == "b" else "and_count"
        calls = [f"{helper}({at}, w{f' + {j * length}' if j else ''}, {length})" for j in range(encoding.bits)]
        factors = _factors(encoding)
        terms = [call if factor == 1 else f"{factor} * {call}" for factor, call in zip(factors, calls, strict=True)]
    body = " + ".join(terms).replace("+ -", "- ")
    if x.planes == 1:
        return [f"sum = {body};"]
    body = body if len(terms) == 1 else f"({body})"
    wide = "" if kind == "int32_t" else f"({kind})"
    return [f"for (int32_t n = 0; n < {x.planes}; n++)", f"    sum += {wide}{body} * (1 << n);"]


def _base(x: Stored, rows: NDArray[Any], digits: NDArray[np.bool_], encoding: Encoding) -> NDArray[np.int64]:
    """What x · w is where S is 0, for each row."""
    sums = rows.astype(np.int64).sum(axis=1)
    if encoding.kind in "ui":
        return np.asarray(x.low * sums, np.int64)
    counts = digits.sum(axis=2)  # (out, planes)
    high = counts[:, 1] if encoding.kind == "t" else (counts << np.arange(encoding.bits)).sum(axis=1)
    return np.asarray(x.low * sums + x.step * ((1 << x.planes) - 1) * high, np.int64)


def _accumulator(kind: str, text: str) -> str:
    return f"const int32_t acc = {text if kind == 'int32_t' else f'(int32_t)({text})'};"


def _factors(encoding: Encoding) -> list[int]:
    """What each plane counts."""
    factors = [1 << j for j in range(encoding.bits)]
    return [*factors[:-1], -factors[-1]] if encoding.kind == "i" else factors


def _outside(encoding: Encoding, length: int, count: int) -> str:
    """Σ of the weights under the mask."""
    calls = [f"and_count(mask, w{f' + {j * length}' if j else ''}, {length})" for j in range(count)]
    if encoding.kind == "t":
        return f"2 * {calls[1]} - {calls[0]}"
    if encoding.kind == "b":
        calls = [f"(2 * {call} - outside)" for call in calls]
    terms = [f"{factor} * {call}" for factor, call in zip(_factors(encoding), calls, strict=True)]
    return " + ".join(terms).replace("+ -", "- ")


def _padded(op: Linear | Conv2d) -> bool:
    return isinstance(op, Conv2d) and any(side for pair in op.padding for side in pair)


def _masked(op: Linear | Conv2d, x: Stored) -> bool:
    """Whether what lies outside the image is no value of the encoding."""
    if not (isinstance(op, Conv2d) and _padded(op)):
        return False
    return (op.pad_value - x.low) % x.step != 0


def _real(op: Linear | Conv2d, x: Stored, weight: str, word: int) -> Product:
    encoding = Encoding.parse(op.weight_encoding)
    rows = op.weight.reshape(len(op.weight), -1)
    out, depth = rows.shape
    tables: tuple[Table, ...]
    if str(encoding) in ("b1", "t2"):
        packed = pack_words(np.moveaxis(planes(rows, encoding), 0, 1), word)
        note = f"{out} rows of {depth} {encoding}"
        tables = (Table(weight, "word", packed[:, 0] if encoding.kind == "b" else packed, note),)
        arguments = f"{weight}[c]" if encoding.kind == "b" else f"{weight}[c][0], {weight}[c][1]"
        call = f"real_dot_{encoding}(patch, {arguments}, {depth})"
    else:
        kind = "float" if encoding.is_float else "int8_t"
        tables = (Table(weight, kind, rows, f"{out} rows of {depth} {encoding}"),)
        call = f"real_dot_{'f32' if encoding.is_float else 'i8'}(patch, {weight}[c], {depth})"
    if isinstance(op, Linear) and x.kind == "f32":
        call = call.replace("(patch", "(x")
        return Product(tables, (), (), (), (f"const float acc = {call};",), "float")
    gather = {"f32": "gather_f32", "codes": "gather_f32_of_codes", "bits": "gather_f32_of_bits"}[x.kind]
    more = f", {x.low}, {x.step}" if x.kind == "codes" else ""
    fill = op.pad_value if isinstance(op, Conv2d) else 0
    gathering = (f"{gather}(&view, x, row, column, group, patch, {fill}{more});",)
    scratch = (Scratch("patch", "float", depth),)
    return Product(tables, scratch, (), gathering, (f"const float acc = {call};",), "float")
