"""Thresholds of an unrolled layer as constants: what a sum of codes has to reach, also at a border.

The accumulator is low · Σ w + step · D with D = Σ w · code, so "it reaches t" is "D reaches a number". Where the
padding is a number that no code means, a tap outside reads as code 0 and Σ w runs over the taps inside: another number
at each kind of border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.verilog import tables
from binarynet.export.verilog.units import Product
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.graph.ir import Conv2d


@dataclass(frozen=True)
class Borders:
    """Kinds of places: the flags of rows and columns that tell them apart, and ``inside`` (kinds, taps)."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    keys: tuple[tuple[bool, ...], ...]
    inside: NDArray[np.bool_]


def _flags(places: int, stride: int, kernel: int, dilation: int, before: int, size: int) -> NDArray[np.bool_]:
    """(kinds, kernel): whether each tap lies outside, every combination that occurs once."""
    at = np.arange(places)[:, None] * stride + np.arange(kernel) * dilation - before
    found: NDArray[np.bool_] = np.unique((at < 0) | (at >= size), axis=0)
    return found


def borders(unit: Product) -> Borders:
    """The kinds of places of a unit; one, without flags, where thresholds are the same everywhere."""
    taps = unit.window.kernel[0] * unit.window.kernel[1]
    if not isinstance(unit.op, Conv2d) or not tables.between(unit):
        return Borders((), (), ((),), np.ones((1, taps), bool))
    window = unit.window
    sides = [
        _flags(window.places[n], window.stride[n], window.kernel[n], window.dilation[n], window.padding[n][0], size)
        for n, size in enumerate(window.size)
    ]
    rows, columns = (tuple(np.flatnonzero(side.any(axis=0) & ~side.all(axis=0)).tolist()) for side in sides)
    keys, inside = [], []
    for y in sides[0]:
        for x in sides[1]:
            keys.append((*y[list(rows)].tolist(), *x[list(columns)].tolist()))
            inside.append((~y[:, None] & ~x[None, :]).reshape(-1))
    return Borders(rows, columns, tuple(keys), np.array(inside))


def reached(unit: Product, kinds: Borders) -> NDArray[np.int64]:
    """(kinds, out, levels): the D from which on a threshold is reached. Behind no threshold there are no levels."""
    assert unit.threshold is not None
    low, step = unit.reads.encoding.low, unit.reads.encoding.step
    by_tap = unit.weight.astype(np.int64).sum(axis=3).reshape(len(unit.weight), -1)  # (out, taps)
    inside = kinds.inside.astype(np.int64) @ by_tap.T  # (kinds, out)
    wanted = unit.threshold.thresholds.astype(np.int64)[None] - (low * inside)[:, :, None]
    found: NDArray[np.int64] = -(-wanted // step)
    return found


def offsets(unit: Unrolled) -> NDArray[np.int64]:
    """(out,): what D lacks to be the S that the last layer's parts count by (`binarynet.export.verilog.tables`)."""
    rows = unit.weight.reshape(len(unit.weight), -1).astype(np.int64)
    found: NDArray[np.int64] = (unit.reads.encoding.low * rows.sum(axis=1) - tables.bases(unit)) // tables.factor(unit)
    return found


def table(unit: Unrolled, row: NDArray[Any], levels: NDArray[np.int64], falling: bool) -> list[int]:
    """For each digit of the code its truth table over the digits of the inputs that ``row`` looks at, as a number."""
    assert unit.makes is not None
    inputs, digits = np.flatnonzero(row), unit.reads.digits
    states = np.arange(1 << (len(inputs) * digits))
    codes = (states[:, None] >> (digits * np.arange(len(inputs)))) & ((1 << digits) - 1)
    sums = codes @ row[inputs].astype(np.int64)
    made = ((sums[:, None] >= levels[None]) != falling).sum(axis=1)
    return [sum(1 << int(s) for s in np.flatnonzero(made >> digit & 1)) for digit in range(unit.makes.digits)]
