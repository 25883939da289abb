"""One layer as one C function, which makes a row at a time: a head that makes a number, a tail that uses it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from binarynet.errors import ExportError
from binarynet.export.c import moves, pools
from binarynet.export.c.classes import keys
from binarynet.export.c.function import (
    Function,
    clear,
    counting,
    each_number,
    kind_of,
    number_of,
    row_in,
    row_of,
    view_of,
    window_of,
)
from binarynet.export.c.lanes import Lanes, lanes, packed
from binarynet.export.c.options import Options
from binarynet.export.c.plan import PLACED, Layer
from binarynet.export.c.pointwise import TAIL, tail, threshold
from binarynet.export.c.product import Scratch, product
from binarynet.export.c.writer import Table, Writer
from binarynet.export.emit import Names
from binarynet.graph.ir import Add, Affine, Concat, Conv2d, Linear, MaxPool2d, Mul, Op, SumPool2d, Take, Threshold
from binarynet.graph.rules import Rules


def function(layer: Layer, names: Names, options: Options, bound: int = 0) -> Function:
    """``bound`` is that of the sums of a last layer, 0 for others.

    Raises:
        ExportError: for an op that C cannot express.
    """
    made = Function(layer, names.unique(f"run_{layer.name}"), options, _about(layer), bound)
    head, x = layer.head, layer.sources[0]
    beside = lanes(layer, options.word)
    if beside:
        _lanes(made, beside, names)
    elif head is None:
        each_number(made, f"const {kind_of(x)} v = {number_of(x)};", names)
    else:
        RULES.of(head)(made, head, names)
    return made


def _about(layer: Layer) -> str:
    names = ", ".join(f"{op.name}" for op in layer.ops) or layer.name
    read = " and ".join(str(source.value) for source in layer.sources)
    return f"{names}: {read} -> {layer.makes.value}".replace("×", "x")


def _product(made: Function, op: Linear | Conv2d, names: Names) -> None:
    layer, body = made.layer, made.body
    parts = product(layer, op, names, made.options.word)
    made.tables += parts.tables
    made.scratch += parts.scratch
    made.about += _weights_text(op)
    _, width, channels = layer.makes.size
    patch, place, groups = list(parts.patch), "c", 1
    if isinstance(op, Conv2d) and any("&view" in line for line in patch):
        body.add(view_of(made, op))
    clear(made)
    with ExitStack() as loops:
        if isinstance(op, Conv2d):
            groups, place = op.groups, "at + c"
            loops.enter_context(body.block(counting("column", width)))
            row = row_in(layer.rows_of_y, layer.makes)
            body.add(f"const int32_t at = ({row} * {width} + column) * {channels};")
        if groups > 1:
            loops.enter_context(body.block(counting("group", groups)))
        else:
            patch = [line.replace("column, group", "column, 0") for line in patch]
        body.add(*patch)
        if made.bound and isinstance(op, Linear) and parts.result == "int32_t":
            _best(made, patch, list(parts.lines), names)
        each = channels // groups
        loop = counting("c", channels) if groups == 1 else counting("c", f"(group + 1) * {each}", f"group * {each}")
        loops.enter_context(body.block(loop))
        body.add(*parts.lines, *tail(layer.tail, made.tables, "acc", parts.result, names, made.options, place))


def _best(made: Function, patch: list[str], lines: list[str], names: Names) -> None:
    """The class of a last layer that ends in sums, or in an Affine of them that integers can follow."""
    ops, bound = made.layer.tail, made.bound
    value = "acc"
    if ops:
        found = keys(ops[0], bound) if len(ops) == 1 and isinstance(ops[0], Affine) else None
        if found is None:
            return
        tables = [
            Table(names.unique(f"{ops[0].name}_{name}"), kind, numbers, note)
            for name, kind, numbers, note in (
                ("mantissa", "int32_t", found.mantissa, "the scale as an integer"),
                ("shift", "uint8_t", found.shift, "times 2 to this"),
                ("whole", "int64_t", found.offset, "the offset as an integer"),
            )
        ]
        made.tables += tables
        mantissa, shift, whole = (f"{table.name}[c]" for table in tables)
        value = f"rounded(rounded((int64_t){mantissa} * acc * ((int64_t)1 << {shift})) + {whole})"
    made.best = Writer.inside()
    made.best.add(*patch, "int32_t best = 0;", "int64_t most = -((int64_t)1 << 62); /* less than any */")
    with made.best.block(counting("c", made.layer.makes.size[2])):
        made.best.add(*lines, f"const int64_t v = {value};")
        made.best.add("const int64_t larger = -(int64_t)((uint64_t)(most - v) >> 63); /* 0 or -1: no branch */")
        made.best.add("most ^= (most ^ v) & larger;", "best ^= (best ^ c) & (int32_t)larger;")
    made.best.add("return best;")


def _weights_text(op: Linear | Conv2d) -> str:
    parts = [f"; weights {'x'.join(map(str, op.weight.shape))} {op.weight_encoding}"]
    if isinstance(op, Conv2d):
        parts += [f"stride {op.stride[0]}x{op.stride[1]}"] if op.stride != (1, 1) else []
        parts += [f"dilation {op.dilation[0]}x{op.dilation[1]}"] if op.dilation != (1, 1) else []
        (top, bottom), (left, right) = op.padding
        if top or bottom or left or right:
            parts.append(f"{op.pad_value} outside: {top} above, {bottom} below, {left} left, {right} right")
        parts += [f"{op.groups} groups"] if op.groups > 1 else []
    return ", ".join(parts)


def _lanes(made: Function, beside: Lanes, names: Names) -> None:
    """A product whose outputs lie side by side."""
    layer, op, x = made.layer, made.layer.head, made.layer.sources[0]
    assert isinstance(op, Linear | Conv2d)
    word, fixed = made.options.word, made.options.constant_time
    made.about += f"{_weights_text(op)}; {word} outputs side by side"
    weights, starts, falls, rows, columns = (
        names.unique(f"{op.name}_{what}") for what in ("weight", "start", "falls", "row_class", "column_class")
    )
    packed_weights = packed(beside.weights, word)
    made.tables += [
        Table(weights, "word", packed_weights.reshape(beside.groups * beside.blocks, -1), "a bit for each output"),
        Table(
            starts, "word", packed(beside.starts, word).reshape(-1, beside.digits), "minus the thresholds, by digits"
        ),
        Table(falls, "word", packed(beside.falls, word).reshape(-1), "1: where the threshold is not reached"),
        Table(rows, "uint8_t", beside.row_class, "which kernel rows are outside, for each row"),
        Table(columns, "uint8_t", beside.column_class, "which kernel columns are outside, for each column"),
    ]
    made.scratch += [
        Scratch("counters", "word", beside.open * beside.blocks * (beside.digits + 1)),
        Scratch("memory", "word", beside.memory(word, fixed)),
    ]
    _, width, channels = layer.makes.size
    kernel = op.weight.shape[1] if isinstance(op, Conv2d) else 1
    row_words = width * channels // word
    sizes = (beside.unit, beside.weights.shape[3], width, beside.groups, beside.blocks, beside.open, beside.digits)
    with made.body.block("static const FLASH lanes view =", "};"):
        made.body.add(f"{window_of(layer, op)},")
        made.body.add(f"{0 if x.kind == 'bits' else x.planes}, {', '.join(map(str, sizes))},")
        made.body.add(f"{weights}[0], {starts}[0], {falls}, {rows}, {columns}, {len(np.unique(beside.column_class))},")
    made.body.add(f"int32_t sums[{beside.open}], rows[{kernel}];")
    at = row_of("y", layer.rows_of_y, layer.makes, row_words)
    row = "row" if layer.makes.is_image else "0"
    made.body.add(f"run_lanes(&view, x, {at}, {row}, counters, memory, sums, rows);")


def _add(made: Function, op: Add, names: Names) -> None:
    each_number(made, f"const {kind_of(made.layer.sources[0])} v = x[from + c] + x2[from + c];", names)


_HEADS: dict[type[Op], Callable[..., None]] = {
    Linear: _product,
    Conv2d: _product,
    MaxPool2d: pools.max_pool,
    SumPool2d: pools.pool,
    Add: _add,
    Mul: moves.multiply,
    Take: moves.take,
    Concat: moves.concat,
}
_EVERY: dict[type[Op], Callable[..., object]] = {**PLACED, **_HEADS, **TAIL, Threshold: threshold}
RULES = Rules("export/c", _EVERY, error=ExportError)
