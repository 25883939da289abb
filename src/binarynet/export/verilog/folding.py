"""``--fold auto``: the smallest fold of every layer with which an image takes no more than so many clocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, prod

from binarynet.errors import ExportError
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

    def clocks(self, fold: Pair, before: int) -> int:
        """Of an image, with words of ``before`` values coming in (0: of any width)."""
        own = self.steps * -(-self.outputs // fold[0]) * -(-self.inputs // fold[1])
        passing = self.pixels * -(-self.inputs // gcd(before, fold[1])) if before else 0
        return max(own, passing, self.pool * -(-self.outputs // fold[0]))

    def folds(self) -> list[Pair]:
        """Every fold that divides the layer, the cheapest first."""
        outs, ins = ([n for n in range(1, size + 1) if size % n == 0] for size in (self.outputs, self.inputs))
        return sorted(((o, i) for o in outs for i in ins), key=lambda f: (f[0] * (f[1] * self.digits + _LANE), f))


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
        pool = next((one for one in graph.ops[number + 1 : number + 3] if isinstance(one, MaxPool2d)), None)
        pooled = prod(values[pool.name].shape[:2]) * prod(pool.kernel) if pool else 0
        found.append(_Layer(op.name, len(op.weight), image[2], digits, places * taps, prod(image[:2]), pooled))
    return found


def automatic(graph: Graph, values: Mapping[str, Value], target: int | None, unrolled: set[str]) -> dict[str, Pair]:
    """Layer → OUTPUTS, INPUTS. Without a target it is what the input takes, or the slowest layer where that is more.

    Raises:
        ExportError: a layer takes more clocks however it is folded; the text names it and the way out.
    """
    layers = [layer for layer in _layers(graph, values) if layer.name not in unrolled]
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
        before = found[layer.name][0]
    return found
