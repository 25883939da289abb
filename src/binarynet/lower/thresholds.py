"""Thresholds, read off the float layers: where does the quantizer switch among all values that it can be shown?

Each float operation of a chain (add, multiply, the norm's multiply-add, clip) rounds monotonically, and so does a
quantizer, so the whole is monotone as computed, ties and all, and bisection finds the same switch as showing it every
value. Negative and zero γ need no case of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from binarynet.graph import Encoding, Value
from binarynet.lower.chain import Chain
from binarynet.nn import Quantizer

_LARGEST = np.float32(np.finfo(np.float32).max)


def read(chain: Chain, quantizer: Quantizer, value: Value) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Thresholds (channels, levels) and rising (channels,) with which a `Threshold` answers what the chain and the
    quantizer behind it answer, for every number that ``value`` can be: int32 within its bounds, or any float32."""
    encoding = Encoding.parse(quantizer.encoding)
    if value.encoding.is_float:
        number: Callable[[NDArray[np.int64]], NDArray[Any]] = _unrank
        low, high = _rank(-_LARGEST), _rank(_LARGEST)
        rising = ~chain.falling(-1e6, 1e6, value.channels)
    else:
        number = np.asarray
        low, high = -value.bound, value.bound
        rising = ~chain.falling(low, high, value.channels)
    first = np.empty((value.channels, encoding.count - 1), np.int64)
    for level in range(encoding.count - 1):
        least = encoding.low + encoding.step * (level + 1)

        def reached(x: NDArray[np.int64], least: int = least) -> NDArray[np.bool_]:
            shown = torch.from_numpy(np.asarray(number(x), np.float32))[None]
            with torch.no_grad():
                numbers, _ = quantizer.integers(chain.evaluate(shown))
            found: NDArray[np.bool_] = (numbers[0] >= least).numpy()
            return found

        first[:, level] = _bisect(reached, low, high, rising)
    if not value.encoding.is_float:
        return first.astype(np.int32), rising
    never = first > high  # only +∞ is larger than every float
    return np.where(never, np.float32(np.inf), _unrank(np.minimum(first, high))).astype(np.float32), rising


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
    magnitude = np.minimum(np.abs(rank), _rank(_LARGEST)).astype(np.int32).view(np.float32)
    return np.where(rank < 0, -magnitude, magnitude)
