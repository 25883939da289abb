"""Which layers are unrolled, and the unit of one: all inputs, all outputs, one window or one vector a clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from binarynet.errors import ExportError
from binarynet.export.emit import unsupported
from binarynet.export.verilog.units import Product, Stream, Window
from binarynet.graph import Encoding, Graph, Op, Value
from binarynet.graph.ir import Conv2d, Linear, Threshold

_ALL = "all"


class Unroll:
    """The layers whose weights are constants: ``all``, or by name."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def check(self, graph: Graph) -> None:
        """Raises ExportError for a layer that is none."""
        known = [op.name for op in graph.ops if isinstance(op, Linear | Conv2d)]
        for name in self.names:
            if name != _ALL and name not in known:
                raise ExportError(f"unroll {name!r}: no such layer; there are {', '.join(known)}, and {_ALL}")

    def has(self, op: Op) -> bool:
        return _ALL in self.names or op.name in self.names


@dataclass(frozen=True)
class Columns(Window):
    """A window of which every place is one clock (``parts/binarynet_columns.v``)."""

    @property
    def at_once(self) -> bool:
        return True

    @property
    def feeds(self) -> int:
        """Columns that move in for a row of places: those of the image that a place looks at, or one a place."""
        (left, _), wide = self.padding[1], self.dilation[1] * (self.kernel[1] - 1)
        walked = (self.places[1] - 1) * self.stride[1] + 1
        return max(min(self.size[1], wide - left + walked), walked)

    @property
    def steps(self) -> int:
        return 1

    @property
    def clocks(self) -> int:
        return self.places[0] * self.feeds

    @property
    def trivial(self) -> bool:
        """Whether a window is a pixel, so that nothing has to be kept."""
        sides = [side for pair in self.padding for side in pair]
        return self.kernel == (1, 1) and self.stride == (1, 1) and not any(sides)


@dataclass(frozen=True)
class Unrolled(Product):
    """A product with constant weights; ``weight`` is (out, kernel height, kernel width, in) of −1, 0, +1."""

    window: Columns
    lut: int  # inputs of the family's look-up tables
    deep: bool = False  # a register behind every addition

    @property
    def flows(self) -> bool:
        return self.window.trivial


def unrolled(
    op: Linear | Conv2d, threshold: Threshold | None, x: Stream, values: Mapping[str, Value], lut: int, pixels: int = 1
) -> Unrolled:
    """The unit of an unrolled layer that reads ``x``, whose pixels may be ``pixels`` of the image side by side.

    Raises:
        ExportError: its weights are others than b1 and t2, or its padding is wider than its kernel.
    """
    encoding = Encoding.parse(op.weight_encoding)
    if str(encoding) not in ("b1", "t2"):
        raise unsupported("verilog", op, f"unrolls weights of b1 and t2, not of {encoding}; leave it folded")
    if pixels > 1:
        if not isinstance(op, Conv2d) or not _pointwise(op):
            raise unsupported("verilog", op, "reads words of several pixels as a 1x1 convolution only; fold input less")
        weight = np.kron(np.eye(pixels, dtype=np.int8), spread(op)[:, 0, 0])[:, None, None]  # each pixel on its own
        places = x.shape[:2]
        window = Columns(1, places, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), places, 1)
        if threshold:
            levels = np.tile(threshold.thresholds.astype(np.int32), (pixels, 1))
            threshold = replace(threshold, thresholds=levels, rising=np.tile(threshold.rising, pixels))
    elif isinstance(op, Conv2d):
        weight = spread(op)
        places = values[op.name].shape[0], values[op.name].shape[1]
        kernel = weight.shape[1], weight.shape[2]
        window = Columns(1, x.shape[:2], kernel, op.stride, op.dilation, op.padding, places, 1)
        if op.padding[1][0] > op.dilation[1] * (kernel[1] - 1):
            raise unsupported("verilog", op, "unrolls no layer that is padded more than its kernel is wide; fold it")
    else:  # an image is one vector
        x = Stream((1, 1, prod(x.shape)), prod(x.shape), x.encoding)
        weight = op.weight.reshape(len(op.weight), 1, 1, -1)
        places = (1, 1)
        window = Columns(1, (1, 1), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), places, 1)
    reads = Stream(x.shape, x.shape[2], x.encoding)
    makes = Stream((*places, len(weight)), len(weight), Encoding.parse(threshold.encoding)) if threshold else None
    return Unrolled(op, threshold, reads, window, weight, encoding, len(weight), makes, lut)


def _pointwise(op: Conv2d) -> bool:
    sides = [side for pair in op.padding for side in pair]
    return op.weight.shape[1:3] == (1, 1) and op.stride == (1, 1) and not any(sides)


def spread(op: Conv2d) -> np.ndarray:
    """Weights over all channels, 0 where a group does not look: constants that are 0 cost nothing."""
    if op.groups == 1:
        return op.weight
    out, height, width, inside = op.weight.shape
    wide = np.zeros((out, height, width, inside * op.groups), np.int8)
    for group in range(op.groups):
        rows = slice(group * out // op.groups, (group + 1) * out // op.groups)
        wide[rows, :, :, group * inside : (group + 1) * inside] = op.weight[rows]
    return wide
