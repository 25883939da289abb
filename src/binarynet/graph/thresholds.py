"""Thresholds, read off what they replace: where does a quantizer switch among all numbers that it can be shown?

Every float operation between an accumulator and a quantizer (add, multiply, the norm's multiply-add, clip) rounds
monotonically, and so does the quantizer, so the whole is monotone as computed, ties and all, and bisection finds the
same switch as showing it every number. Negative and zero γ need no case of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import Value

LARGEST = np.float32(np.finfo(np.float32).max)

# (channels,) float32, one number for each channel → (channels,), the numbers that the quantizer makes of them
Quantized = Callable[[NDArray[np.float32]], NDArray[Any]]


def read(quantized: Quantized, rising: NDArray[np.bool_], value: Value, encoding: Encoding) -> NDArray[Any]:
    """Thresholds (channels, levels) with which a `Threshold` to ``encoding`` answers what ``quantized`` answers, for
    every number that ``value`` can be: int32 within its bounds, or any float32.

    ``rising`` (channels,): whether what stands before the quantizer rises with the number.
    """
    real = value.encoding.is_float
    number: Callable[[NDArray[np.int64]], NDArray[Any]] = _unrank if real else np.asarray
    low, high = (_rank(-LARGEST), _rank(LARGEST)) if real else (-value.bound, value.bound)
    first = np.empty((value.channels, encoding.count - 1), np.int64)
    for level in range(encoding.count - 1):
        least = encoding.low + encoding.step * (level + 1)

        def reached(x: NDArray[np.int64], least: int = least) -> NDArray[np.bool_]:
            found: NDArray[np.bool_] = quantized(np.asarray(number(x), np.float32)) >= least
            return found

        first[:, level] = _bisect(reached, low, high, rising)
    if not real:
        return first.astype(np.int32)
    never = first > high  # only +∞ is larger than every float
    return np.where(never, np.float32(np.inf), _unrank(np.minimum(first, high))).astype(np.float32)


def _bisect(
    reached: Callable[[NDArray[np.int64]], NDArray[np.bool_]], low: int, high: int, rising: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The first x in [low, high] where ``reached == rising``, high + 1 if there is none; one for each channel."""
    left = np.full(len(rising), low, np.int64)  # below left: not switched
    right = np.full(len(rising), high + 1, np.int64)  # from right on: switched
    while np.any(left < right):
        middle = (left + right) // 2
        switched = (reached(middle) == rising) | (left >= right)
        right = np.where(switched, np.minimum(middle, right), right)
        left = np.where(switched, left, middle + 1)
    return left


def _rank(value: np.float32) -> int:
    """Floats in order as integers: −0 and +0 share rank 0."""
    bits = int(np.float32(value).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _unrank(rank: NDArray[np.int64]) -> NDArray[np.float32]:
    magnitude = np.minimum(np.abs(rank), _rank(LARGEST)).astype(np.int32).view(np.float32)
    return np.where(rank < 0, -magnitude, magnitude)
