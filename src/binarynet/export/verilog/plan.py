"""Graph → hardware units: which ops share one unit, how each is folded, and how wide its numbers are.

A unit works on a stream of words. A word holds some values of one pixel side by side (`Stream`); a vector is a pixel.
Products and the threshold behind them are one unit, since an accumulator never leaves it. A Linear behind a Flatten
is a convolution whose window is the whole image: both walk in the order height, width, channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.emit import unsupported
from binarynet.export.verilog.takes import refuses
from binarynet.graph import Encoding, Graph, Op, Value
from binarynet.graph.ir import (
    Affine,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Pair,
    Threshold,
)


@dataclass(frozen=True)
class Stream:
    """Words of ``lanes`` values of ``digits`` bits; ``shape`` (height, width, channels) is the whole image."""

    shape: tuple[int, int, int]
    lanes: int
    encoding: Encoding

    @property
    def digits(self) -> int:
        return (self.encoding.count - 1).bit_length()

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Window:
    """How a window moves over an image; sizes as in `binarynet.graph.ir.Conv2d`."""

    words: int
    size: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]
    places: Pair
    tiles: int
    along: bool = False  # a tile is one word of each pixel: pooling

    @property
    def rows(self) -> int:
        """Rows that the buffer holds: what the window covers, and as many as it moves by, to write meanwhile."""
        top, height = self.padding[0][0], self.size[0]
        reach = self.dilation[0] * (self.kernel[0] - 1) + 1
        starts = [place * self.stride[0] for place in range(self.places[0])]
        covered = [min(top + height, start + reach) - max(top, start) for start in starts[:-1]]
        covered.append(top + height - max(top, starts[-1]))
        ahead = self.stride[0] if self.places[0] > 1 else height
        return max(max(covered) + ahead, self.dilation[0], self.stride[0], 1)

    @property
    def steps(self) -> int:
        """Steps of one tile."""
        return prod(self.kernel) * (1 if self.along else self.words)

    @property
    def clocks(self) -> int:
        """Clocks that an image takes."""
        return prod(self.places) * self.tiles * self.steps


@dataclass(frozen=True)
class Product:
    """A Linear or Conv2d with its Threshold; without one, the last layer."""

    op: Linear | Conv2d
    threshold: Threshold | None
    reads: Stream
    window: Window
    weight: NDArray[Any]  # (out, kernel height, kernel width, in)
    encoding: Encoding  # of the weights
    outputs: int  # in parallel
    makes: Stream | None

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def channels(self) -> int:
        return len(self.weight)


@dataclass(frozen=True)
class Pool:
    op: MaxPool2d
    reads: Stream
    window: Window
    makes: Stream

    @property
    def name(self) -> str:
        return self.op.name


Unit = Product | Pool


@dataclass(frozen=True)
class Design:
    """The units in order. The last is a Product without a threshold; ``affine`` follows it where the graph has one."""

    graph: Graph
    input: Stream
    units: tuple[Unit, ...]
    affine: Affine | None

    @property
    def last(self) -> Product:
        unit = self.units[-1]
        assert isinstance(unit, Product)
        return unit

    @property
    def streams(self) -> list[tuple[Stream, int]]:
        """For each unit: what comes towards it, and in which words it wants it."""
        before = [self.input, *(unit.makes for unit in self.units[:-1])]
        return [(stream, unit.reads.lanes) for stream, unit in zip(before, self.units, strict=True) if stream]

    @property
    def interval(self) -> int:
        """Clocks from one image to the next: those of the slowest part."""
        parts = [unit.window.clocks for unit in self.units]
        parts += [stream.pixels * -(-stream.shape[2] // gear(stream, lanes)) for stream, lanes in self.streams]
        return max(*parts, self.last.channels)


def gear(stream: Stream, lanes: int) -> int:
    """Values that pass in one clock where words of another width are wanted."""
    return gcd(stream.lanes, lanes)


class Folds:
    """How many outputs and inputs of a layer are computed in parallel: ``8x32`` for all, ``conv1=4x9`` for one."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.all = (8, 32)
        self.named: dict[str, Pair] = {}
        for text in texts:
            name, _, sizes = text.rpartition("=")
            left, cross, right = sizes.partition("x")
            if not (cross and left.isdecimal() and right.isdecimal() and int(left) and int(right)):
                raise ExportError(f"fold {text!r}: write OUTPUTSxINPUTS, as 8x32, or LAYER=OUTPUTSxINPUTS")
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


def design(graph: Graph, values: Mapping[str, Value], folds: Folds) -> Design:
    """The units of a verified graph.

    Raises:
        ExportError: an op has no counterpart in hardware, or stands where it has none; the text names it.
    """
    folds.check(graph)
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
    stream = _input(graph, folds)
    if ops and isinstance(ops[0], Flatten):  # bytes come one behind the other anyway
        stream = Stream((1, 1, prod(stream.shape)), folds.of(graph.input)[0], stream.encoding)
        ops.pop(0)
    start = stream
    units: list[Unit] = []
    while ops:
        op = ops.pop(0)
        if isinstance(op, Linear | Conv2d):
            follower = ops.pop(0) if ops else None
            if follower is not None and not isinstance(follower, Threshold):
                raise unsupported("verilog", follower, f"needs a Threshold behind {op.name}, which makes sums")
            unit: Unit = _product(op, follower, stream, values, folds)
        elif isinstance(op, MaxPool2d):
            unit = _pool(op, stream, values)
        elif isinstance(op, Flatten):  # the next Linear's window is the whole image
            continue
        else:
            raise unsupported("verilog", op, "takes it behind a Linear or Conv2d, or as the last op (Affine)")
        units.append(unit)
        stream = unit.makes or stream
    return Design(graph, start, tuple(units), affine)


def _input(graph: Graph, folds: Folds) -> Stream:
    shape = graph.input.shape
    image = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])
    return Stream(image, min(folds.of(graph.input)[0], image[2]), Encoding.parse(graph.input.encoding))


def _product(
    op: Linear | Conv2d, threshold: Threshold | None, x: Stream, values: Mapping[str, Value], folds: Folds
) -> Product:
    outputs, inputs = folds.of(op)
    encoding = Encoding.parse(op.weight_encoding)
    height, width, channels = x.shape
    reads = Stream(x.shape, min(inputs, channels), x.encoding)
    if isinstance(op, Conv2d):
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
