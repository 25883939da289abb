"""Graph → hardware units: which ops share one unit, and how each is folded or unrolled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.emit import unsupported
from binarynet.export.verilog.folding import AUTO, Goal, automatic
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.takes import refuses
from binarynet.export.verilog.units import Design, Pool, Product, Stream, Unit, Window, groups_at_once
from binarynet.export.verilog.unrolled.unit import Unroll, Unrolled, unrolled
from binarynet.export.verilog.whole import takes, whole
from binarynet.graph import Encoding, Graph, Op, Value, verify
from binarynet.graph.ir import Affine, Conv2d, Flatten, Input, Linear, MaxPool2d, Pair, Threshold


class Folds:
    """How many outputs and inputs of a layer are computed in parallel: ``8x32`` for all, ``conv1=4x9`` for one."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.all = (8, 32)
        self.named: dict[str, Pair] = {}
        self.auto = False
        for text in texts:
            if text == AUTO:
                self.auto = True
                continue
            name, _, sizes = text.rpartition("=")
            left, cross, right = sizes.partition("x")
            if not (cross and left.isdecimal() and right.isdecimal() and int(left) and int(right)):
                raise ExportError(f"fold {text!r}: write OUTPUTSxINPUTS, as 8x32, LAYER=OUTPUTSxINPUTS, or auto")
            if name:
                self.named[name] = int(left), int(right)
            else:
                self.all = int(left), int(right)

    def check(self, graph: Graph) -> None:
        """Raises ExportError for a layer that is none."""
        known = [op.name for op in graph.ops if isinstance(op, Input | Linear | Conv2d)]
        for name in self.named:
            if name not in known:
                raise ExportError(f"fold {name!r}: no such layer; there are {', '.join(known)}")

    def of(self, op: Op) -> Pair:
        return self.named.get(op.name, (1, 1) if isinstance(op, Input) else self.all)


def _reads(values: Mapping[str, Value], source: str) -> Encoding | None:
    return values[source].encoding if source else None


def planned(graph: Graph, options: Options) -> Design:
    """The units of a graph as the options ask for them.

    Raises:
        GraphError: it is not well formed.
        ExportError: as `design`.
    """
    values, folds, unroll = verify(graph), Folds(options.fold), Unroll(options.unroll)
    if options.target_clocks is not None and not folds.auto:
        raise ExportError("target-clocks says how fast --fold auto is to be; give it, too")
    if options.luts is not None and not folds.auto:
        raise ExportError("luts says how large --fold auto may be; give it, too")
    if folds.auto:
        unrolled = {op.name for op in graph.ops if unroll.has(op)}
        goal = Goal(options.target_clocks, options.luts, options.lut)
        folds.named = automatic(graph, values, goal, unrolled) | folds.named
    return design(graph, values, folds, unroll, options.lut)


def design(graph: Graph, values: Mapping[str, Value], folds: Folds, unroll: Unroll, lut: int) -> Design:
    """The units of a verified graph.

    Raises:
        ExportError: an op has no counterpart in hardware, or stands where it has none; the text names it.
    """
    folds.check(graph)
    unroll.check(graph)
    for op in graph.ops:
        held = op.weight_encoding if isinstance(op, Linear | Conv2d) else getattr(op, "encoding", None)
        holds = Encoding.parse(held) if held else None
        why = next(
            (why for read in op.sources or [""] if (why := refuses(type(op), _reads(values, read), holds))), None
        )
        if why is not None:
            raise unsupported("verilog", op, why)
        if len(graph.readers(op.name)) > 1:
            raise unsupported("verilog", op, "makes a value for one reader; this one has more")
    ops = list(graph.ops[1:])
    affine = ops.pop() if ops and isinstance(ops[-1], Affine) else None
    assert affine is None or isinstance(affine, Affine)
    if not ops or not isinstance(ops[-1], Linear):
        end = graph.output
        raise unsupported("verilog", end, "needs a Linear at the end, alone or with an Affine, to find a class from")
    if isinstance(ops[0], Flatten):  # bytes come one behind the other anyway
        ops.pop(0)
        whole = prod(graph.input.shape)
        stream = Stream((1, 1, whole), min(folds.of(graph.input)[0], whole), Encoding.parse(graph.input.encoding))
    else:
        stream = _input(graph, folds)
    pixels = stream.lanes // stream.shape[2]  # of a word
    if pixels > 1:
        stream = Stream((1, stream.pixels // pixels, stream.lanes), stream.lanes, stream.encoding)
    start = stream
    units: list[Unit] = []
    while ops:
        op = ops.pop(0)
        if isinstance(op, Linear | Conv2d):
            follower = ops.pop(0) if ops else None
            if follower is not None and not isinstance(follower, Threshold):
                raise unsupported("verilog", follower, f"needs a Threshold behind {op.name}, which makes sums")
            unit: Unit
            if unroll.has(op):
                unit = unrolled(op, follower, stream, values, lut, pixels)
            elif pixels > 1:
                raise unsupported("verilog", op, "reads words of several pixels as an unrolled layer only; --unroll it")
            else:
                unit = _product(op, follower, stream, values, folds)
        elif isinstance(op, MaxPool2d):
            if pixels > 1:
                raise unsupported("verilog", op, "does not read words of several pixels; fold the input less")
            unit = _pool(op, stream, values)
        elif isinstance(op, Flatten):  # the next Linear's window is the whole image
            pixels = 1
            continue
        else:
            raise unsupported("verilog", op, "takes it behind a Linear or Conv2d, or as the last op (Affine)")
        units.append(unit)
        stream = unit.makes or stream
    made = Design(graph, start, tuple(units), affine)
    if made.flows:
        deep = tuple(replace(unit, deep=True) if isinstance(unit, Unrolled) else unit for unit in units)
        made = replace(made, units=deep)
    return made


def _input(graph: Graph, folds: Folds) -> Stream:
    """What comes in: words of values of a pixel, or of several whole pixels.

    Raises:
        ExportError: a word would end inside a pixel, or an image inside a word.
    """
    shape = graph.input.shape
    image = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])
    lanes = folds.of(graph.input)[0]
    if image[:2] == (1, 1):
        lanes = min(lanes, image[2])
    if lanes > image[2] and (lanes % image[2] or prod(image) % lanes):
        raise ExportError(
            f"fold {graph.input.name}={lanes}x1: a word is some of a pixel's {image[2]} values, or several pixels, "
            f"as many as divide the image's {prod(image[:2])}"
        )
    return Stream(image, lanes, Encoding.parse(graph.input.encoding))


def _product(
    op: Linear | Conv2d, threshold: Threshold | None, x: Stream, values: Mapping[str, Value], folds: Folds
) -> Product:
    outputs, inputs = folds.of(op)
    encoding = Encoding.parse(op.weight_encoding)
    height, width, channels = x.shape
    reads = Stream(x.shape, min(inputs, channels), x.encoding)
    if isinstance(op, Conv2d):
        each = len(op.weight) // op.groups, op.weight.shape[3]
        at_once = groups_at_once(op.groups, *each, (outputs, inputs))
        if at_once:
            return _grouped(op, threshold, x, values, at_once)
        if threshold and inputs >= op.weight[0].size and takes(op):
            return whole(op, threshold, x, values, outputs)
        weight, encoding = _ungrouped(op, encoding)
        stride, dilation, padding = op.stride, op.dilation, op.padding
        places = values[op.name].shape[0], values[op.name].shape[1]
    else:
        weight = op.weight.reshape(len(op.weight), height, width, channels)
        stride, dilation, padding, places = (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)
    outputs = min(outputs, len(weight))
    kernel = weight.shape[1], weight.shape[2]
    tiles = -(-len(weight) // outputs)
    words = -(-channels // reads.lanes)
    window = Window(words, (height, width), kernel, stride, dilation, padding, places, tiles)
    makes = Stream((*places, len(weight)), outputs, Encoding.parse(threshold.encoding)) if threshold else None
    return Product(op, threshold, reads, window, weight, encoding, outputs, makes)


def _grouped(op: Conv2d, threshold: Threshold | None, x: Stream, values: Mapping[str, Value], at_once: int) -> Product:
    """A layer whose words are whole groups: each output reads those of its own, and a tile a word of each pixel."""
    tiles = op.groups // at_once
    outputs, places = len(op.weight) // tiles, values[op.name].shape[:2]
    kernel = op.weight.shape[1], op.weight.shape[2]
    reads = Stream(x.shape, x.shape[2] // tiles, x.encoding)
    sides = (places[0], places[1])
    window = Window(tiles, x.shape[:2], kernel, op.stride, op.dilation, op.padding, sides, tiles, along=True)
    makes = Stream((*sides, len(op.weight)), outputs, Encoding.parse(threshold.encoding)) if threshold else None
    encoding = Encoding.parse(op.weight_encoding)
    return Product(op, threshold, reads, window, op.weight, encoding, outputs, makes, groups=at_once)


def _ungrouped(op: Conv2d, encoding: Encoding) -> tuple[NDArray[Any], Encoding]:
    """Weights over all channels, 0 where a group does not look."""
    if op.groups == 1:
        return op.weight, encoding
    if encoding.kind == "b" and encoding.bits > 1:
        raise unsupported("verilog", op, f"has groups for b1, t2, u and i weights, not for {encoding}: no code is 0")
    out, height, width, inside = op.weight.shape
    wide = np.zeros((out, height, width, inside * op.groups), op.weight.dtype)
    for group in range(op.groups):
        rows = slice(group * out // op.groups, (group + 1) * out // op.groups)
        wide[rows, :, :, group * inside : (group + 1) * inside] = op.weight[rows]
    return wide, Encoding.parse("t2") if encoding.kind == "b" else encoding


def _pool(op: MaxPool2d, x: Stream, values: Mapping[str, Value]) -> Pool:
    shape = values[op.name].shape
    words = -(-x.shape[2] // x.lanes)
    places = shape[0], shape[1]
    window = Window(words, x.shape[:2], op.kernel, op.stride, (1, 1), op.padding, places, words, along=True)
    return Pool(op, x, window, Stream((*places, x.shape[2]), x.lanes, x.encoding))
