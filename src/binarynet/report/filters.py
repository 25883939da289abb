"""How many 2-D filters of a convolution differ.

A 3 × 3 filter of ±1 has only 2⁹ = 512 patterns (256 if a filter and its negative count as one), so of the
many filters that read one input channel some are equal. Courbariaux et al., arXiv 1602.02830, count them, since a
repeated 2-D convolution need not be computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Encoding
from binarynet.graph.ir import Conv2d


@dataclass(frozen=True)
class FilterRepetition:
    """The 2-D filters of one convolution, kh × kw numbers each; there are (channels in) × (channels out) / groups.

    patterns: how many different filters its encoding allows. unique: how many there are in the layer;
    unique_up_to_sign: if a filter and its negative count as one.
    share, share_up_to_sign: of the filters that read one input channel, how many differ, as a part of 1, and the
        mean of that over the input channels: the part of the 2-D convolutions that has to be computed.
    """

    layer: str
    kernel: tuple[int, int]
    filters: int
    patterns: int
    unique: int
    unique_up_to_sign: int
    share: float
    share_up_to_sign: float


def repetition(op: Conv2d) -> FilterRepetition:
    """Count the 2-D filters of a convolution; exact, by sorting them."""
    out, height, width, channels = op.weight.shape
    encoding = Encoding.parse(op.weight_encoding)
    filters = op.weight.transpose(0, 3, 1, 2)  # (out, in, height, width)
    filters = filters.reshape(op.groups, out // op.groups, channels, height * width)
    unique, share = _distinct(filters)
    unique_up_to_sign, share_up_to_sign = _distinct(_first_positive(filters))
    return FilterRepetition(
        op.name,
        (height, width),
        out * channels,
        encoding.count ** (height * width),
        unique,
        unique_up_to_sign,
        share,
        share_up_to_sign,
    )


def _first_positive(filters: NDArray[Any]) -> NDArray[Any]:
    """(…, taps): each filter or its negative, whichever has a positive first number that is not 0."""
    first = np.take_along_axis(filters, (filters != 0).argmax(axis=-1)[..., None], axis=-1)
    return np.where(first < 0, -filters, filters)


def _distinct(filters: NDArray[Any]) -> tuple[int, float]:
    """filters (groups, out of a group, in of a group, taps) → how many differ in all, and `share`."""
    different, number = np.unique(filters.reshape(-1, filters.shape[-1]), axis=0, return_inverse=True)
    beside = np.sort(number.reshape(filters.shape[:3]), axis=1)  # equal ones of an input channel stand together
    per_input = 1 + (np.diff(beside, axis=1) != 0).sum(axis=1)  # (groups, in of a group)
    return len(different), float(per_input.mean()) / filters.shape[1]
