"""Quantizers as the fold sees them: a function to few whole numbers, and what one of them is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Encoding

_NAMES = ("b1", "u1", "t2", *(f"{kind}{bits}" for bits in range(2, 9) for kind in ("b", "u", "i")))
ENCODINGS = tuple(Encoding.parse(name) for name in _NAMES)


@dataclass(frozen=True)
class Quantizer:
    """``numbers``: (n, channels) float32 → whole numbers from ``low`` to ``high`` in steps of ``step``, in the
    network's own arithmetic; it never falls. ``unit``: what 1 is worth, () or (channels,) float32.
    """

    numbers: Callable[[NDArray[Any]], NDArray[Any]]
    low: int
    high: int
    step: int
    unit: NDArray[np.float32]

    @property
    def encoding(self) -> Encoding | None:
        """The smallest encoding that holds all numbers; None if none does."""
        return smallest(self.low, self.high, self.step)


def smallest(low: int, high: int, step: int) -> Encoding | None:
    """The smallest encoding with the numbers low, low + step … high."""
    for one in ENCODINGS:
        if one.low <= low and high <= one.high and step % one.step == 0 and (low - one.low) % one.step == 0:
            return one
    return None
