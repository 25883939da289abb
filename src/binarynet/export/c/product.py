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
from binarynet.export.c.writer import Table
from binarynet.export.emit import Names, integer_type, pack_words
from binarynet.format.bits import planes
from binarynet.graph import Encoding
from binarynet.graph.ir import Conv2d, Linear


@dataclass(frozen=True)
class Scratch:
    """Memory that a layer needs while it runs."""

    name: str
    kind: str
    count: int


@dataclass(frozen=True)
class Product:
    """The parts of a product's C: ``patch`` runs at each place and group, ``lines`` for each c."""

    tables: tuple[Table, ...]
    scratch: tuple[Scratch, ...]
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
    patch, scratch, name = _patch(op, x, depth, length, masked)
    highest = max(x.value.encoding.magnitude, (1 << x.planes) - 1)
    kind = "int32_t" if 2 * depth * highest * encoding.magnitude < 2**31 else "int64_t"
    summed = _sum(x, encoding, name, length, kind)
    row = f"const FLASH word *w = {weight}[c]{'' if count == 1 else '[0]'};"
    start = f"{kind} sum = 0;"
    times = "sum" if x.step == 1 else f"{x.step} * sum"

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
            "const int32_t outside = mark_outside(&view, row, column, mask);",
        ]
        lines[-1] = lines[-1].removeprefix("const ")
        lines.append(f"if (outside) /* there the digits 0 meant {x.low}, not 0 */")
        lines.append(f"    acc += {-x.low} * ({_outside(encoding, length, count)});".replace("+= 1 * ", "+= "))
    return Product(tuple(tables), tuple(scratch), tuple(patch), tuple(lines), "int32_t")


def _patch(
    op: Linear | Conv2d, x: Stored, depth: int, length: int, masked: bool
) -> tuple[list[str], list[Scratch], str]:
    """How the bits under the window come together: lines for each place, scratch, and their name."""
    digits = Scratch("digits", "word", x.planes * length)
    if isinstance(op, Linear):
        if x.kind == "bits":
            return [], [], "x"
        return [f"split(x, {depth}, {x.planes}, digits, {length});"], [digits], "digits"
    if x.kind == "bits":
        patch = ["gather_bits(&view, x, row, column, group, patch);"]
        if _padded(op) and op.pad_value == 1:
            patch.append("mark_outside(&view, row, column, patch); /* +1 outside the image */")
        return patch, [Scratch("patch", "word", length)], "patch"
    fill = (op.pad_value - x.low) // x.step if _padded(op) and not masked else 0
    patch = [*_gather(op, x, "codes", "{}", fill), f"split(codes, {depth}, {x.planes}, digits, {length});"]
    return patch, [Scratch("codes", "uint8_t", depth), digits], "digits"


def _gather(op: Conv2d, x: Stored, to: str, element: str, fill: int) -> list[str]:
    """What lies under the window, value by value; ``element`` says what is made of x[...], which stands for ``{}``."""
    _, height, width, channels = op.weight.shape
    at = "from + c" if op.groups == 1 else f"from + group * {channels} + c"
    taken = element.replace("{}", f"x[{at}]" if x.kind != "bits" else at)
    lines = [
        f"for (int32_t k = 0; k < {height * width}; k++) {{",
        f"    const int32_t from = {x.value.channels} * pixel(&view, row, column, k / {width}, k % {width});",
        f"    for (int32_t c = 0; c < {channels}; c++)",
        f"        {to}[k * {channels} + c] = {f'from < 0 ? {fill} : ' if _padded(op) else ''}{taken};",
        "}",
    ]
    return lines


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
    """Where an operand is real: weights times x, added in the order of the depth."""
    encoding = Encoding.parse(op.weight_encoding)
    rows = op.weight.reshape(len(op.weight), -1)
    out, depth = rows.shape
    gathered = not (isinstance(op, Linear) and x.kind == "f32")
    value = "patch[k]" if gathered else "x[k]"
    if str(encoding) in ("b1", "t2"):
        packed = pack_words(np.moveaxis(planes(rows, encoding), 0, 1), word)
        table = Table(
            weight, "word", packed[:, 0] if encoding.kind == "b" else packed, f"{out} rows of {depth} {encoding}"
        )
        signed = f"get_table_bit({weight}[c]{'' if encoding.kind == 'b' else '[1]'}, k) ? {value} : -{value}"
        term = signed if encoding.kind == "b" else f"!get_table_bit({weight}[c][0], k) ? 0.0f : {signed}"
    else:
        kind = "float" if encoding.is_float else "int8_t"
        table = Table(weight, kind, rows, f"{out} rows of {depth} {encoding}")
        term = f"{value} * {'' if encoding.is_float else '(float)'}{weight}[c][k]"
    lines = ("float acc = 0;", f"for (int32_t k = 0; k < {depth}; k++)", f"    acc += {term};")
    if not gathered:
        return Product((table,), (), (), lines, "float")
    element = {"f32": "{}", "bits": "(float)(2 * get_bit(x, {}) - 1)"}.get(x.kind, "")
    if x.kind == "codes":
        element = f"(float)({x.low} + {x.step} * {{}})"
    if isinstance(op, Conv2d):
        patch = _gather(op, x, "patch", element, op.pad_value)
    else:
        taken = element.replace("{}", "c" if x.kind == "bits" else "x[c]")
        patch = [f"for (int32_t c = 0; c < {depth}; c++)", f"    patch[c] = {taken};"]
    return Product((table,), (Scratch("patch", "float", depth),), tuple(patch), lines, "float")
