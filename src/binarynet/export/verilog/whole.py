"""Convolutions folded over their outputs alone: a whole window a clock, of weights that are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from binarynet.export.verilog import tables
from binarynet.export.verilog.units import Product, Stream
from binarynet.export.verilog.unrolled.thresholds import Borders, borders, reached
from binarynet.export.verilog.unrolled.unit import Columns
from binarynet.graph import Encoding, Value
from binarynet.graph.ir import Conv2d, Linear, Pair, Threshold

_MOST_FLAGS = 6  # of borders: thresholds for 64 kinds of places


@dataclass(frozen=True)
class Held(Columns):
    """A window that waits at each place until all tiles are computed."""

    @property
    def clocks(self) -> int:
        return self.places[0] * (self.feeds + self.places[1] * (self.tiles - 1))


@dataclass(frozen=True)
class Whole(Product):
    """``reads`` are whole pixels; ``window`` is a `Held`."""

    @property
    def inputs(self) -> int:
        return prod(self.window.kernel) * self.reads.shape[2]

    @property
    def kinds(self) -> Borders:
        return borders(self)


def window(op: Conv2d, size: Pair, places: Pair, tiles: int) -> Held:
    return Held(1, size, (op.weight.shape[1], op.weight.shape[2]), op.stride, op.dilation, op.padding, places, tiles)


def takes(op: Linear | Conv2d) -> bool:
    """Whether a layer can be computed so: several taps, no groups, weights of one digit or 0, narrow padding."""
    if not isinstance(op, Conv2d) or op.groups > 1 or op.weight_encoding not in ("b1", "t2"):
        return False
    kernel = op.weight.shape[1:3]
    narrow = op.padding[1][0] <= op.dilation[1] * (kernel[1] - 1)
    sides = [min(sum(pair), taps - 1) for pair, taps in zip(op.padding, kernel, strict=True)]
    return prod(kernel) > 1 and narrow and sum(sides) <= _MOST_FLAGS


def whole(op: Conv2d, threshold: Threshold, x: Stream, values: Mapping[str, Value], outputs: int) -> Whole:
    """The unit of a layer that reads ``x`` and computes so many outputs in parallel."""
    places = values[op.name].shape[0], values[op.name].shape[1]
    outputs = min(outputs, len(op.weight))
    held = window(op, x.shape[:2], places, -(-len(op.weight) // outputs))
    reads = Stream(x.shape, x.shape[2], x.encoding)
    makes = Stream((*places, len(op.weight)), outputs, Encoding.parse(threshold.encoding))
    return Whole(op, threshold, reads, held, op.weight, Encoding.parse(op.weight_encoding), outputs, makes)


def thresholds(unit: Whole) -> list[str]:
    """A word for each tile and state of the flags (the first row's lowest), as `tables.thresholds` has them."""
    assert unit.threshold is not None
    kinds = unit.kinds
    flags = max(1, len(kinds.rows) + len(kinds.columns))
    rows = unit.weight.reshape(len(unit.weight), -1).astype(np.int64)
    high = (1 << unit.reads.digits) - 1
    # What is counted is Σ w · code and, for each weight of −1, the largest code.
    counted = reached(unit, kinds) + high * (rows < 0).sum(axis=1)[None, :, None]  # (kinds, out, levels)
    counted = np.clip(counted, 0, tables.largest(unit) + 1)
    bits, tiles = tables.sum_bits(unit), unit.window.tiles
    words = np.zeros((tiles * unit.outputs, 1 << flags, counted.shape[2] * bits + 1), bool)
    for key, levels in zip(kinds.keys, counted, strict=True):
        state = sum(1 << place for place, flag in enumerate(key) if flag)
        digits = (levels[..., None] >> np.arange(bits)) & 1 == 1
        words[: len(levels), state, :-1] = digits.reshape(len(levels), -1)
        words[: len(levels), state, -1] = ~unit.threshold.rising
    if not kinds.keys[0]:  # a flag that is never up
        words[:, 1] = words[:, 0]
    ordered = words.reshape(tiles, unit.outputs, 1 << flags, -1).transpose(0, 2, 1, 3)
    return tables.hexadecimal(ordered.reshape(tiles << flags, -1))
