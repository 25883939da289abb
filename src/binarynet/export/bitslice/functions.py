"""The functions of C: straight-line gates for a few neurons each, and loops that take them over an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.bitslice.circuit import ZERO, Circuit, Wire
from binarynet.export.bitslice.memory import Memory, Stored
from binarynet.export.bitslice.neurons import Finish, Group, Neuron, built, pairs
from binarynet.export.bitslice.products import Bounds, Product, exact, window
from binarynet.export.c.writer import Writer
from binarynet.export.emit import table
from binarynet.graph import Op
from binarynet.graph.ir import Conv2d, Linear, MaxPool2d, Threshold

_PER_FUNCTION = 500  # gates: a function of so many stays in the cache of instructions while it goes over an image


@dataclass
class Made:
    """Functions, the lines that call them in order, and how many gates they hold."""

    code: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    gates: int = 0


@dataclass(frozen=True)
class _Walk:
    """How functions are taken over places: registers of the first place and from one to the next, read and written."""

    rows: int
    columns: int
    reads: tuple[int, int, int]  # base, from row to row, from column to column
    writes: tuple[int, int, int]


def thresholds(name: str, product: Product, x: Stored, y: Stored, op: Threshold, varies: bool) -> Made:
    """A product and the thresholds behind it. ``varies``: the bounds of a place depend on the taps that lie inside."""
    kinds, kind_of = _kinds(product, x, y.shape, varies)
    every = range(product.filters)
    sums = [[product.inside(k, *taps) for k in every] for taps in kinds]
    inner = Bounds(product, op, sums[:1])
    made = Made()
    walk = _walk(product.op, x, y.shape, y)
    bodies = [_bodies(product, x, inner.finish)]
    edges = Bounds(product, op, sums)
    if len(kinds) > 1:
        bodies.append(_bodies(product, x, edges.finish))
    text = Writer()
    for suffix, groups in zip(("", "edge_"), bodies, strict=False):
        for k, part in enumerate(groups):
            made.gates += _function(text, f"{name}__{suffix}{k}", part, y.bits, bool(suffix))
    if len(kinds) > 1:
        for what, kind, rows in (("kinds", "uint8_t", kind_of), ("bounds", "uint8_t", np.array(edges.table, np.uint8))):
            rows = rows if rows.size else np.zeros((1, 1), np.uint8)
            sizes = "".join(f"[{size}]" for size in rows.shape)
            text.add(*f"static const {kind} {name}__{what}{sizes} = {table(rows, kind)};".splitlines())
    _loop(text, name, product.op, walk, [len(groups) for groups in bodies])
    made.code.append(text.text)
    made.calls.append(f"{name}(m);")
    return made


def sums(
    name: str, product: Product, x: Stored, shape: tuple[int, ...], memory: Memory
) -> tuple[Made, NDArray[Any], list[int]]:
    """A product as numbers: the registers of their digits (answers, digits), and what to take off each filter's."""
    first = _walk(product.op, x, shape, None)
    groups = [built(pair, _reader(product, x), exact) for pair in pairs(_neurons(product))]
    constants = [constant for _, constant in sorted(pair for group in groups for pair in group.constants.items())]
    width = max(1, max(len(wires) for group in groups for wires in group.wires.values()))
    for group in groups:
        for index, wires in group.wires.items():
            group.wires[index] = [*wires, *[ZERO] * width][:width]
    height, columns = (shape[0], shape[1]) if len(shape) == 3 else (1, 1)
    base = memory.take(height * columns * product.filters * width)
    places = (base + np.arange(height * columns * product.filters * width)).reshape(-1, width)
    step = product.filters * width
    walk = _Walk(height, columns, first.reads, (base, columns * step, step))
    made, text = Made(), Writer()
    parts = _parts(groups)
    for k, part in enumerate(parts):
        made.gates += _function(text, f"{name}__{k}", part, width, False)
    _loop(text, name, product.op, walk, [len(parts)])
    made.code.append(text.text)
    made.calls.append(f"{name}(m);")
    return made, places, constants


def pools(name: str, op: MaxPool2d, x: Stored, y: Stored) -> Made:
    """OR under the window, or AND for the channels whose smallest is asked for; what lies outside is left out."""
    (height, width), grid, made = x.shape[:2], x.grid, Made()
    assert grid is not None
    kinds: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            first = i * op.stride[0] - op.padding[0][0], j * op.stride[1] - op.padding[1][0]
            under = [
                (di, dj)
                for di, dj in np.ndindex(*op.kernel)
                if 0 <= first[0] + di < height and 0 <= first[1] + dj < width
            ]
            kinds.setdefault(tuple(under), []).append((i, j))
    text = Writer()
    loop = Writer.inside()
    walk = _walk(op, x, y.shape, y)
    for k, (taps, places) in enumerate(kinds.items()):
        with text.function(f"static APART void {name}__{k}(const reg *restrict x, reg *restrict y)"):
            for smallest, sign in ((False, "|"), (True, "&")):
                channels = np.flatnonzero(op.minimum == smallest).tolist()
                if not channels:
                    continue
                terms = [f"x[c + {di * grid.row + dj * grid.column}]" for di, dj in taps]
                if len(channels) == len(op.minimum):
                    with text.block(f"for (int c = 0; c < {len(channels)}; c++)"):
                        text.add(f"y[c] = {f' {sign} '.join(terms)};")
                    continue
                numbers = ", ".join(map(str, channels))
                text.add(f"static const int {'least' if smallest else 'most'}[{len(channels)}] = {{{numbers}}};")
                with text.block(f"for (int k = 0; k < {len(channels)}; k++)"):
                    text.add(f"const int c = {'least' if smallest else 'most'}[k];")
                    text.add(f"y[c] = {f' {sign} '.join(terms)};")
            made.gates += len(op.minimum)
        rows, columns = sorted({i for i, _ in places}), sorted({j for _, j in places})
        blocks = len(rows) * len(columns) == len(places) and _runs(rows) and _runs(columns)
        spans = [((rows[0], rows[-1]), (columns[0], columns[-1]))] if blocks else [((i, i), (j, j)) for i, j in places]
        for down, across in spans:
            _span(loop, f"{name}__{k}", walk, down, across)
    with text.function(f"static void {name}(reg *m)", op.name):
        text.append(loop)
    made.code.append(text.text)
    made.calls.append(f"{name}(m);")
    return made


def copies(name: str, op: Op, source: NDArray[Any], target: NDArray[Any]) -> Made:
    """The registers of a value, put where an image lies."""
    text = Writer()
    pairs_ = np.stack([source.reshape(-1), target.reshape(-1)], axis=1)
    text.add(*f"static const int32_t {name}__from_to[{len(pairs_)}][2] = {table(pairs_, 'int32_t')};".splitlines())
    with text.function(f"static void {name}(reg *m)", f"the image that {op.name} reads"):
        text.add(
            f"for (int i = 0; i < {len(pairs_)}; i++)", f"    m[{name}__from_to[i][1]] = m[{name}__from_to[i][0]];"
        )
    return Made([text.text], [f"{name}(m);"], 0)


def _neurons(product: Product) -> list[Neuron]:
    return [product.neuron(k) for k in range(product.filters)]


def _kinds(
    product: Product, x: Stored, shape: tuple[int, ...], varies: bool
) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], NDArray[np.uint8]]:
    """The sets of taps that lie on the image, the inner one first, and which of them each place has."""
    op = product.op
    assert isinstance(op, Linear | Conv2d)
    rows, columns = product.weights.shape[1:3]
    whole = np.ones(rows, bool), np.ones(columns, bool)
    kinds, kind_of = [whole], np.zeros(shape[:2] if len(shape) == 3 else (1, 1), np.uint8)
    if varies:
        known = {(whole[0].tobytes(), whole[1].tobytes()): 0}
        for i, j in np.ndindex(*kind_of.shape):
            taps = window(op, x.shape, i, j)
            key = taps[0].tobytes(), taps[1].tobytes()
            if key not in known:
                known[key] = len(kinds)
                kinds.append(taps)
            kind_of[i, j] = known[key]
    return kinds, kind_of


def _walk(op: Op, x: Stored, shape: tuple[int, ...], y: Stored | None) -> _Walk:
    if isinstance(op, Linear):
        base = y.grid.base if y is not None and y.grid is not None else 0
        return _Walk(1, 1, (0, 0, 0), (base, 0, 0))
    assert isinstance(op, Conv2d | MaxPool2d)
    assert x.grid is not None
    first = x.grid.base - op.padding[0][0] * x.grid.row - op.padding[1][0] * x.grid.column
    reads = first, op.stride[0] * x.grid.row, op.stride[1] * x.grid.column
    writes = (y.grid.base, y.grid.row, y.grid.column) if y is not None and y.grid is not None else (0, 0, 0)
    return _Walk(shape[0], shape[1], reads, writes)


def _reader(product: Product, x: Stored) -> Any:
    """How the wires of an input of the window are read: at constant places behind where the window begins."""
    op = product.op
    if isinstance(op, Linear):
        flat = x.places.reshape(-1, x.bits)
        return lambda circuit, place: [circuit.input(f"x[{at}]") for at in flat[place].tolist()]
    assert isinstance(op, Conv2d)
    assert x.grid is not None
    grid, bits, dilation = x.grid, x.bits, op.dilation
    columns, channels = product.weights.shape[2], product.weights.shape[3] * product.groups

    def read(circuit: Circuit, place: int) -> Sequence[Wire]:
        tap, channel = divmod(place, channels)
        i, j = divmod(tap, columns)
        at = i * dilation[0] * grid.row + j * dilation[1] * grid.column + channel * bits
        return [circuit.input(f"x[{at + k}]") for k in range(bits)]

    return read


def _bodies(product: Product, x: Stored, finish: Finish) -> list[list[Group]]:
    read = _reader(product, x)
    return _parts([built(pair, read, finish) for pair in pairs(_neurons(product))])


def _parts(groups: Iterable[Group]) -> list[list[Group]]:
    """Groups as functions of about `_PER_FUNCTION` gates."""
    parts: list[list[Group]] = [[]]
    gates = 0
    for group in groups:
        if parts[-1] and gates + group.cost > _PER_FUNCTION:
            parts.append([])
            gates = 0
        parts[-1].append(group)
        gates += group.cost
    return parts


def _function(text: Writer, name: str, groups: list[Group], bits: int, edge: bool) -> int:
    """One function; how many gates it holds."""
    given = ", const uint8_t *c" if edge else ""
    gates = 0
    with text.function(f"static APART void {name}(const reg *restrict x, reg *restrict y{given})"):
        text.add("(void)x;", *(["(void)c;"] if edge else []))
        for group in groups:
            outputs = [wire for wires in group.wires.values() for wire in wires]
            lines, found = group.circuit.statements(outputs)
            gates += len(lines)
            at = [index * bits + k for index, wires in group.wires.items() for k in range(len(wires))]
            with text.block(""):
                text.add(*lines)
                text.add(*(f"y[{place}] = {one};" for place, one in zip(at, found, strict=True)))
    return gates


def _loop(text: Writer, name: str, op: Op, walk: _Walk, functions: list[int]) -> None:
    """The function that takes all parts over the image, part by part, so that its code stays in the cache."""
    with text.function(f"static void {name}(reg *m)", op.name):
        for k in range(functions[0]):
            if len(functions) == 1:
                _span(text, f"{name}__{k}", walk, (0, walk.rows - 1), (0, walk.columns - 1))
                continue
            with (
                text.block(f"for (int i = 0; i < {walk.rows}; i++)"),
                text.block(f"for (int j = 0; j < {walk.columns}; j++)"),
            ):
                text.add(f"const int kind = {name}__kinds[i][j];")
                reads, writes = _at(walk.reads, "i", "j"), _at(walk.writes, "i", "j")
                text.add("if (kind == 0)", f"    {name}__{k}(m + {reads}, m + {writes});")
        if len(functions) == 1:
            return
        for k in range(functions[1]):
            with (
                text.block(f"for (int i = 0; i < {walk.rows}; i++)"),
                text.block(f"for (int j = 0; j < {walk.columns}; j++)"),
            ):
                text.add(f"const int kind = {name}__kinds[i][j];")
                reads, writes = _at(walk.reads, "i", "j"), _at(walk.writes, "i", "j")
                text.add("if (kind != 0)")
                text.add(f"    {name}__edge_{k}(m + {reads}, m + {writes}, {name}__bounds[kind]);")


def _span(text: Writer, name: str, walk: _Walk, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    """Calls for a rectangle of places."""
    i = str(rows[0]) if rows[0] == rows[1] else "i"
    j = str(columns[0]) if columns[0] == columns[1] else "j"
    lines = [f"{name}(m + {_at(walk.reads, i, j)}, m + {_at(walk.writes, i, j)});"]
    for variable, (first, last) in (("j", columns), ("i", rows)):
        if first != last:
            head = f"for (int {variable} = {first}; {variable} <= {last}; {variable}++)"
            lines = [head, *(f"    {line}" for line in lines)]
    text.add(*lines)


def _at(way: tuple[int, int, int], i: str, j: str) -> str:
    base, row, column = way
    terms = [str(base)]
    for index, step in ((i, row), (j, column)):
        if step and index != "0":
            terms.append(f"{index} * {step}")
    return " + ".join(terms)


def _runs(numbers: list[int]) -> bool:
    """Whether they are all from the least to the largest."""
    return numbers == list(range(numbers[0], numbers[-1] + 1))
