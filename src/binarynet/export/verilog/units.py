"""The units of a design: what a layer of hardware is, the words that it reads and makes, and how its window moves.

A unit works on a stream of words. A word holds some values of one pixel side by side (`Stream`); a vector is a pixel.
Products and the threshold behind them are one unit, since an accumulator never leaves it. A Linear behind a Flatten
is a convolution whose window is the whole image: both walk in the order height, width, channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd, prod
from typing import Any

from numpy.typing import NDArray

from binarynet.graph import Encoding, Graph
from binarynet.graph.ir import Affine, Conv2d, Linear, MaxPool2d, Pair, Threshold


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
    along: bool = False  # a tile is one word of each pixel: pooling, and layers of which each output sees few channels

    @property
    def at_once(self) -> bool:
        """Whether all of it is there in one clock."""
        return False

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
    groups: int = field(default=1, kw_only=True)  # of the layer that a word holds

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def inputs(self) -> int:
        """Of each output, in parallel."""
        return self.reads.lanes // self.groups

    @property
    def flows(self) -> bool:
        """Whether it takes a vector in every clock, so that nobody before it ever waits for it."""
        return False

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

    @property
    def flows(self) -> bool:
        return False


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
    def flows(self) -> bool:
        """Whether every unit takes a word in every clock and classes one behind the other would be what all wait for:
        then they go out side by side, and between input and classes nothing ever waits."""
        words = all(gear(stream, lanes) == stream.lanes for stream, lanes in self.streams)
        return words and all(unit.flows for unit in self.units) and self._slowest < self.last.channels

    @property
    def _slowest(self) -> int:
        parts = [unit.window.clocks for unit in self.units]
        parts += [stream.pixels * -(-stream.shape[2] // gear(stream, lanes)) for stream, lanes in self.streams]
        return max(parts)

    @property
    def interval(self) -> int:
        """Clocks from one image to the next: those of the slowest part."""
        return self._slowest if self.flows else max(self._slowest, self.last.channels)


def groups_at_once(groups: int, outputs: int, inputs: int, fold: Pair) -> int:
    """How many groups, of so many outputs and inputs each, a fold computes in parallel; 0 where not even one fits."""
    if groups == 1 or outputs > fold[0] or inputs > fold[1]:
        return 0
    return max(n for n in range(1, fold[0] // outputs + 1) if groups % n == 0)


def gear(stream: Stream, lanes: int) -> int:
    """Values that pass in one clock where words of another width are wanted."""
    return gcd(stream.lanes, lanes)
