"""`Linear` and `Conv2d` as neurons of one window, and the bounds that their thresholds become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.bitslice.circuit import ZERO, Circuit, Wire, inverted
from binarynet.export.bitslice.neurons import Neuron, Sum
from binarynet.export.bitslice.sums import at_least, columns_of, joined, largest, total
from binarynet.graph import Op
from binarynet.graph.ir import Conv2d, Linear, Threshold


@dataclass(frozen=True)
class Product:
    """``weights`` (out, rows, columns, in / groups) of a window over values low + step · c with digits of ``bits``."""

    op: Op
    weights: NDArray[np.int64]
    groups: int
    low: int
    step: int
    bits: int

    @property
    def filters(self) -> int:
        return int(self.weights.shape[0])

    def neuron(self, index: int) -> Neuron:
        """Places are (row, column, channel) of the window, flat over all channels that are read."""
        columns, mine = self.weights.shape[2:]
        first = index // (self.filters // self.groups) * mine
        taps = self.weights[index]
        found = {}
        for i, j, c in zip(*np.nonzero(taps), strict=True):
            found[int((i * columns + j) * mine * self.groups + first + c)] = int(taps[i, j, c])
        return Neuron(index, found)

    def negative(self, index: int) -> int:
        """N: what U is above Σ w c."""
        taps = self.weights[index]
        return int(-taps[taps < 0].sum()) * ((1 << self.bits) - 1)

    def inside(self, index: int, rows: NDArray[Any], columns: NDArray[Any]) -> int:
        """Σ w over the taps that lie on the image."""
        return int(self.weights[index][np.ix_(rows, columns)].sum())

    def offset(self, index: int, inside: int) -> int:
        """accumulator = step · U + offset."""
        return self.low * inside - self.step * self.negative(index)

    def bound(self, index: int, threshold: int, inside: int) -> int:
        """The least U at which the accumulator reaches a threshold."""
        return -((self.offset(index, inside) - threshold) // self.step)


def product_of(op: Linear | Conv2d, low: int, step: int, bits: int) -> Product:
    weights = np.asarray(op.weight).astype(np.int64)
    if isinstance(op, Linear):
        return Product(op, weights[:, None, None, :], 1, low, step, bits)
    return Product(op, weights, op.groups, low, step, bits)


def window(op: Linear | Conv2d, shape: tuple[int, ...], i: int, j: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which rows and columns of the kernel lie on an image of ``shape`` at place (i, j)."""
    if isinstance(op, Linear):
        return np.ones(1, bool), np.ones(1, bool)
    kernel = op.weight_shape[1:3]
    found = []
    for axis, at in enumerate((i, j)):
        first = at * op.stride[axis] - op.padding[axis][0]
        places = first + op.dilation[axis] * np.arange(kernel[axis])
        found.append((places >= 0) & (places < shape[axis]))
    return found[0], found[1]


class Bounds:
    """The bounds of a layer's neurons: constants, or, where they depend on the border, numbers that it is given.

    ``kinds``: Σ w inside, by neuron, for each kind of place. One kind: constants. More: ``table`` (kinds, digits) is
    what a place of each kind hands over, and a digit is read as ``c[k]``.
    """

    def __init__(self, product: Product, threshold: Threshold, kinds: list[list[int]]) -> None:
        self.product, self.threshold, self.kinds = product, threshold, kinds
        self.table: list[list[int]] = [[] for _ in kinds]

    def finish(self, circuit: Circuit, one: Neuron, made: Sum) -> list[Wire]:
        """The digits of the code that a neuron's thresholds make."""
        levels = self.threshold.thresholds[one.index].tolist()
        met = [self._met(circuit, one, made, int(level)) for level in levels]
        if not self.threshold.rising[one.index]:
            met = [inverted(wire) for wire in met]
        digits = total(circuit, columns_of((wire, 0) for wire in met))
        width = len(levels).bit_length()
        return [*digits, *[ZERO] * width][:width]

    def _met(self, circuit: Circuit, one: Neuron, made: Sum, level: int) -> Wire:
        bounds = [self.product.bound(one.index, level, inside[one.index]) + made.constant for inside in self.kinds]
        if len(set(bounds)) == 1:
            return at_least(circuit, made.columns, bounds[0])
        most = largest(made.columns)
        width = most.bit_length()
        first = len(self.table[0])
        for row, bound in zip(self.table, bounds, strict=True):
            constant = (1 << width) - min(max(bound, 0), most + 1)
            row += [constant >> k & 1 for k in range(width + 1)]
        given = [circuit.input(f"SPLAT(c[{first + k}])") for k in range(width + 1)]
        sums = joined(made.columns, {k: [wire] for k, wire in enumerate(given[:width])})
        return circuit.either(given[width], at_least(circuit, sums, 1 << width))


def exact(circuit: Circuit, one: Neuron, made: Sum) -> list[Wire]:
    """The digits of U less its constant."""
    return total(circuit, made.columns)
