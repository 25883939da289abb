"""Thresholds, read off the float layers: where does the sign switch among all values that an accumulator can take?

Each float operation of a chain (add, multiply, the norm's multiply-add, clip) rounds monotonically, so the chain is
monotone as computed, ties and all, and bisection finds the same switch as showing it every value. Negative and zero
γ need no case of their own.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from binarynet.lower.chain import Chain


def read_integers(
    chain: Chain, low: int, high: int, channels: int, boundaries: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """For each channel and boundary: t with (chain(x) >= boundary) == ((x >= t) == rising) for all low ≤ x ≤ high.

    Returns thresholds (channels, boundaries) int32 within [low, high + 1], and rising (channels,) bool.
    """
    rising = ~chain.falling(low, high, channels)
    first = np.empty((channels, len(boundaries)), np.int64)
    for level, boundary in enumerate(boundaries):
        first[:, level] = _bisect(lambda x: x, chain, low, high, rising, boundary)
    return first.astype(np.int32), rising


def read_reals(
    chain: Chain, channels: int, boundaries: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The same for float32 inputs: bisection over the floats themselves, in their order as bit patterns."""
    largest = np.float32(np.finfo(np.float32).max)
    rising = ~chain.falling(-1e6, 1e6, channels)
    low, high = _rank(-largest), _rank(largest)
    first = np.empty((channels, len(boundaries)), np.int64)
    for level, boundary in enumerate(boundaries):
        first[:, level] = _bisect(_unrank, chain, low, high, rising, boundary)
    beyond = first > high  # never reached: only +∞ is larger than every float
    return np.where(beyond, np.float32(np.inf), _unrank(np.minimum(first, high))).astype(np.float32), rising


def _bisect(
    number: object, chain: Chain, low: int, high: int, rising: NDArray[np.bool_], boundary: np.float32
) -> NDArray[np.int64]:
    """The first x in [low, high] at which the side has switched, high + 1 if it never does; one for each channel."""
    assert callable(number)
    left = np.full(len(rising), low, np.int64)  # below left: not switched
    right = np.full(len(rising), high + 1, np.int64)  # from right on: switched
    while np.any(left < right):
        middle = (left + right) // 2
        shown = torch.from_numpy(np.asarray(number(middle), np.float32))[None]
        reached = (chain.evaluate(shown)[0] >= float(boundary)).numpy()
        switched = np.where(left < right, reached == rising, True)
        right = np.where(switched, np.minimum(middle, right), right)
        left = np.where(switched, left, middle + 1)
    return left


def _rank(value: np.float32) -> int:
    """Floats in order as integers: −0 and +0 share rank 0."""
    bits = int(np.float32(value).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _unrank(rank: NDArray[np.int64]) -> NDArray[np.float32]:
    magnitude = np.abs(rank).astype(np.int32).view(np.float32)
    return np.where(rank < 0, -magnitude, magnitude)
