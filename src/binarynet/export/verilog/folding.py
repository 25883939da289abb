"""``--fold auto``: the smallest fold of every layer with which an image takes no more than so many clocks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, prod

from binarynet.errors import ExportError
from binarynet.export.verilog.units import groups_at_once
from binarynet.export.verilog.whole import takes, window
from binarynet.graph import Graph, Value
from binarynet.graph.ir import Conv2d, Flatten, Linear, MaxPool2d, Pair

AUTO = "auto"
_LANE = 12  # look-up tables of an output beside its products: threshold, accumulator


@dataclass(frozen=True)
class _Layer:
    """A product as its fold sees it. ``pool`` is how many steps a channel takes in the pool behind it, or 0."""

    name: str
    outputs: int
    inputs: int
    digits: int
    steps: int  # of one input to one output: places and kernel
    pixels: int  # of the image that it reads
    pool: int
    groups: int = 1
    held: tuple[Conv2d, Pair, Pair] | None = None  # op, size and places where the whole window can be there at once

    @property
    def depth(self) -> int:
        """Inputs of the whole window; 0 where it cannot be there at once."""
        return prod(self.held[0].weight.shape[1:]) if self.held else 0

    def clocks(self, fold: Pair, before: int) -> int:
        """Of an image, with words of ``before`` values coming in (0: of any width)."""
        if self.held and fold[1] == self.depth:
            own = window(*self.held, -(-self.outputs // fold[0])).clocks
            passing = self.pixels * (self.inputs // gcd(before, self.inputs)) if before else 0
            return max(own, passing, self.pool * -(-self.outputs // fold[0]))
        at_once = groups_at_once(self.groups, self.outputs // self.groups, self.inputs // self.groups, fold)
        word = self.inputs * at_once // self.groups if at_once else fold[1]
        made = self.made(fold)
        own = self.steps * (self.groups // at_once if at_once else -(-self.outputs // made) * -(-self.inputs // word))
        passing = self.pixels * -(-self.inputs // gcd(before, word)) if before else 0
        return max(own, passing, self.pool * -(-self.outputs // made))

    def made(self, fold: Pair) -> int:
        """Outputs in parallel."""
        each = self.outputs // self.groups
        return each * groups_at_once(self.groups, each, self.inputs // self.groups, fold) or fold[0]

    def folds(self) -> list[Pair]:
        """Every fold that divides the layer, the cheapest first."""
        outs, ins = ([n for n in range(1, size + 1) if size % n == 0] for size in (self.outputs, self.inputs))
        if self.held:
            ins.append(self.depth)
        return sorted(((o, i) for o in outs for i in ins), key=lambda f: (self.cost(f), f))

    def cost(self, fold: Pair, each: float = 1.0) -> float:
        """Of a fold, with so many look-up tables for each digit of an input."""
        return self.made(fold) * (fold[1] * self.digits * each + _LANE)


def _layers(graph: Graph, values: Mapping[str, Value]) -> list[_Layer]:
    found: list[_Layer] = []
    flattened: dict[str, tuple[int, ...]] = {}  # what a Flatten reads; bytes come one behind the other anyway
    for number, op in enumerate(graph.ops):
        if isinstance(op, Flatten) and number > 1:
            flattened[op.name] = values[op.source].shape
        if not isinstance(op, Linear | Conv2d):
            continue
        read = values[op.source]
        image: tuple[int, ...] = read.shape if len(read.shape) == 3 else (1, 1, read.shape[-1])
        image = flattened.get(op.source, image)  # a Linear's window is the whole image
        digits = (read.encoding.count - 1).bit_length()
        places = prod(values[op.name].shape[:2]) if isinstance(op, Conv2d) else 1
        taps = op.weight.shape[1] * op.weight.shape[2] if isinstance(op, Conv2d) else prod(image[:2])
        groups = op.groups if isinstance(op, Conv2d) else 1
        made = values[op.name].shape
        held = (op, (image[0], image[1]), (made[0], made[1])) if isinstance(op, Conv2d) and takes(op) else None
        pool = next((one for one in graph.ops[number + 1 : number + 3] if isinstance(one, MaxPool2d)), None)
        pooled = prod(values[pool.name].shape[:2]) * prod(pool.kernel) if pool else 0
        found.append(
            _Layer(op.name, len(op.weight), image[2], digits, places * taps, prod(image[:2]), pooled, groups, held)
        )
    return found


@dataclass(frozen=True)
class Goal:
    """``clocks`` an image may take, or ``luts`` that the folded layers may; ``lut`` inputs of the family's tables."""

    clocks: int | None
    luts: int | None
    lut: int

    @property
    def each(self) -> float:
        """Tables for each digit of an input, about (docs/circuits.md)."""
        return 1.5 if self.lut >= 6 else 3.0


def automatic(graph: Graph, values: Mapping[str, Value], goal: Goal, unrolled: set[str]) -> dict[str, Pair]:
    """Layer → OUTPUTS, INPUTS. Without a goal it is what the input takes, or the slowest layer where that is more.

    Raises:
        ExportError: a layer takes more clocks however it is folded, or all of them more tables; the text names the way
            out.
    """
    layers = [layer for layer in _layers(graph, values) if layer.name not in unrolled]
    most = goal.luts
    if most is None:
        return _within(layers, graph, goal.clocks)
    times = sorted({layer.clocks(fold, 0) for layer in layers for fold in layer.folds()})

    def taken(target: int) -> float:
        chosen = _within(layers, graph, target)
        return sum(layer.cost(chosen[layer.name], goal.each) for layer in layers)

    least = max((min(layer.clocks(fold, 0) for fold in layer.folds()) for layer in layers), default=1)
    times = [time for time in times if time >= least] or [least]
    place = bisect_left(times, True, key=lambda time: taken(time) <= most)
    if place == len(times):
        raise ExportError(f"luts {most}: the folded layers take about {taken(times[-1]):,.0f} at any fold")
    return _within(layers, graph, times[place])


def _within(layers: list[_Layer], graph: Graph, target: int | None) -> dict[str, Pair]:
    """The cheapest folds that take no more clocks than ``target``."""
    least = {layer.name: min(layer.clocks(fold, 0) for fold in layer.folds()) for layer in layers}
    if target is None:
        target = max([prod(graph.input.shape), *least.values()])
    slow = next((name for name, clocks in least.items() if clocks > target), None)
    if slow is not None:
        raise ExportError(
            f"target-clocks {target}: {slow} takes {least[slow]:,} clocks at any fold; --unroll it, or allow them"
        )
    found: dict[str, Pair] = {}
    before = 0
    for layer in layers:
        folds = layer.folds()
        fits = next((fold for fold in folds if layer.clocks(fold, before) <= target), None)
        found[layer.name] = fits or min(folds, key=lambda fold: layer.clocks(fold, before))
        before = layer.made(found[layer.name])
    return found
