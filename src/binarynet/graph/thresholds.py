"""Thresholds, read off what they replace: where does a quantizer switch among all numbers that it can be shown?

Every float operation between an accumulator and a quantizer (add, multiply, the norm's multiply-add, clip) rounds
monotonically, and so does the quantizer, so the whole is monotone as computed, ties and all, and bisection finds the
same switch as showing it every number. Negative and zero γ need no case of their own. `differs` looks whether it is so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import Value

LARGEST = np.float32(np.finfo(np.float32).max)

# (n, channels) float32, numbers for each channel → (n, channels), the numbers that the quantizer makes of them
Quantized = Callable[[NDArray[np.float32]], NDArray[Any]]


def read(quantized: Quantized, rising: NDArray[np.bool_], value: Value, encoding: Encoding) -> NDArray[Any]:
    """Thresholds (channels, levels) with which a `Threshold` to ``encoding`` answers what ``quantized`` answers, for
    every number that ``value`` can be: int32 within its bounds, or any float32.

    ``rising`` (channels,): whether what stands before the quantizer rises with the number.
    """
    real = value.encoding.is_float
    low, high = (_rank(-LARGEST), _rank(LARGEST)) if real else (-value.bound, value.bound)
    least = encoding.low + encoding.step * np.arange(1, encoding.count)[:, None]  # (levels, 1)
    shape = (encoding.count - 1, value.channels)
    left = np.full(shape, low, np.int64)  # below left: not switched
    right = np.full(shape, high + 1, np.int64)  # from right on: switched
    while np.any(left < right):
        middle = (left + right) // 2
        shown = np.asarray(_unrank(middle) if real else middle, np.float32)
        switched = ((quantized(shown) >= least) == rising) | (left >= right)
        right = np.where(switched, np.minimum(middle, right), right)
        left = np.where(switched, left, middle + 1)
    first = np.ascontiguousarray(left.T)
    if not real:
        return first.astype(np.int32)
    never = first > high  # only +∞ is larger than every float
    return np.where(never, np.float32(np.inf), _unrank(np.minimum(first, high))).astype(np.float32)


def differs(
    quantized: Quantized, table: NDArray[Any], rising: NDArray[np.bool_], value: Value, encoding: Encoding
) -> tuple[float, float, float] | None:
    """(number, quantized, by thresholds) where the two differ, or None. Shown are the numbers on both sides of every
    switch, and some hundred spread over all: what turns back between two switches is found, unless it does so there
    and back between two of them.
    """
    if value.encoding.is_float:
        reach = np.float32(10.0) ** np.linspace(-6, 6, 97, dtype=np.float32)
        spread = np.concatenate([-reach[::-1], np.zeros(1, np.float32), reach]).astype(np.float64)
        near: list[NDArray[Any]] = [_unrank(_ranks(table) + side).T for side in (-1, 0)]
    else:
        bound = min(value.bound, 2**24)  # what float32 holds exactly
        spread = np.unique(np.linspace(-bound, bound, 257).astype(np.int64)).astype(np.float64)
        near = [np.clip(table.astype(np.int64) + side, -bound, bound).T for side in (-1, 0)]
    x = np.concatenate([np.repeat(spread[:, None], value.channels, axis=1), *near]).astype(np.float32)
    found = quantized(x)
    said = np.empty(x.shape, np.int64)
    for row, shown in enumerate(x):  # one at a time: all levels of all numbers would be large
        said[row] = encoding.low + encoding.step * ((shown[:, None] >= table) == rising[:, None]).sum(axis=1)
    wrong = np.argwhere(found != said)
    if not len(wrong):
        return None
    place = tuple(wrong[0])
    return float(x[place]), float(found[place]), float(said[place])


def _rank(value: np.float32) -> int:
    """Floats in order as integers: −0 and +0 share rank 0."""
    return int(_ranks(np.asarray(value)))


def _ranks(values: NDArray[Any]) -> NDArray[np.int64]:
    bits = np.clip(values, -LARGEST, LARGEST).astype(np.float32).view(np.int32).astype(np.int64)
    found: NDArray[np.int64] = np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))
    return found


def _unrank(rank: NDArray[np.int64]) -> NDArray[np.float32]:
    magnitude = np.minimum(np.abs(rank), _rank(LARGEST)).astype(np.int32).view(np.float32)
    return np.where(rank < 0, -magnitude, magnitude)
