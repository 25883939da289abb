"""The class without floats: what a last Affine makes of an accumulator, as integers in the order of its float32.

float32 rounds ``scale · sum``, then that plus ``offset``, each to 24 bits. In units of the least digit that any of
these numbers has, all are integers of at most 63 bits, and the two roundings are those of an integer to its 24 highest
bits (`parts/rounded.c`). Scales of very different size, and sums beyond 24 bits, have no such form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binarynet.graph.ir import Affine

_MOST = 1 << 22  # sums of all classes that are tried


@dataclass(frozen=True)
class Keys:
    """Of each class: (mantissa · sum) << shift, rounded, plus offset, rounded."""

    mantissa: NDArray[np.int32]
    shift: NDArray[np.uint8]
    offset: NDArray[np.int64]


def keys(op: Affine, bound: int) -> Keys | None:
    """Integers for sums up to ±bound, tried on every one of them; None where there are none."""
    if bound >= 1 << 24 or (2 * bound + 1) * len(op.scale) > _MOST:
        return None
    mantissa, low = _parts(op.scale)
    offset, low_of_offset = _parts(op.offset)
    used = np.concatenate([low[mantissa != 0], low_of_offset[offset != 0]])
    unit = int(used.min()) if used.size else 0
    shift, shift_of_offset = (np.where(m == 0, 0, k - unit) for m, k in ((mantissa, low), (offset, low_of_offset)))
    largest = [abs(int(m)) * bound << int(k) for m, k in zip(mantissa, shift, strict=True)]
    largest += [abs(int(m)) << int(k) for m, k in zip(offset, shift_of_offset, strict=True)]
    if max(largest) >= 1 << 61 or max(shift, default=0) > 62:
        return None
    made = Keys(mantissa.astype(np.int32), shift.astype(np.uint8), offset << shift_of_offset)
    sums = np.arange(-bound, bound + 1)[:, None]
    products = rounded((made.mantissa.astype(np.int64) * sums) << made.shift)
    found = rounded(products + made.offset)
    with np.errstate(all="ignore"):
        expected = (sums.astype(np.float32) * op.scale + op.offset).astype(np.float64)
    same = np.array_equal(np.ldexp(found.astype(np.float64), unit), expected)
    return made if same else None


def _parts(numbers: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """number = mantissa · 2^low, the mantissa odd or 0."""
    fraction, exponent = np.frexp(numbers.astype(np.float64))
    mantissa, low = (fraction * (1 << 24)).astype(np.int64), exponent.astype(np.int64) - 24
    while np.any(even := (mantissa != 0) & (mantissa % 2 == 0)):
        mantissa, low = np.where(even, mantissa // 2, mantissa), low + even
    return mantissa, low


def rounded(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """To the 24 highest bits, halves to even, as `parts/rounded.c`."""
    size = np.abs(numbers)
    drop = np.maximum(np.frexp(size.astype(np.longdouble))[1] - 24, 0).astype(np.int64)
    step = np.int64(1) << drop
    rest = size & (step - 1)
    size = size - rest
    up = (2 * rest > step) | ((2 * rest == step) & ((size >> drop) & 1 == 1))
    return np.asarray(np.sign(numbers) * (size + up * step), np.int64)
