"""Weights as whole numbers and what one of them is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from binarynet.fold.link import Array
from binarynet.fold.quantizer import smallest


@dataclass(frozen=True)
class Weight:
    """Weights as the network has them: (out, …) float32, and what one integer of them is worth, if a quantizer has
    said so: () or (out, 1, …)."""

    value: Array
    unit: Array | None = None


def integers(weight: Weight) -> tuple[Array, str, Array] | None:
    """Weights (out, …) → int8 numbers, their encoding, and what a 1 is worth, (1,) or (out,); None for weights that
    are no integers times such a scale. Whatever is answered multiplies out to the very weights."""
    value = weight.value.astype(np.float32)
    rows = value.reshape(len(value), -1)
    for unit in (weight.unit, np.ones(()), _magnitudes(rows)):
        if unit is None or unit.size not in (1, len(rows)) or not np.all(unit != 0):
            continue
        each = unit.reshape(-1, *(1,) * (value.ndim - 1)).astype(np.float32)
        numbers = np.rint(value.astype(np.float64) / each)
        if np.any(numbers < -128) or np.any(numbers > 127):
            continue
        if np.array_equal((numbers.astype(np.float32) * each).astype(np.float32), value):
            whole = numbers.astype(np.int8)
            worth = each.reshape(-1).astype(np.float64)
            return whole, _encoding(whole), worth[:1] if np.all(worth == worth[0]) else worth
    return None


def _encoding(numbers: Array) -> str:
    found = smallest(int(numbers.min()), int(numbers.max()), 2 if bool(np.all(numbers & 1)) else 1)
    assert found is not None, "int8 is i8"
    return str(found)


def _magnitudes(rows: Array) -> Array | None:
    """Of rows that hold nothing but ± one number and 0, that number (1 for a row of zeros)."""
    magnitude = np.abs(rows).max(axis=1)
    alike = np.all((np.abs(rows) == magnitude[:, None]) | (rows == 0))
    return np.where(magnitude > 0, magnitude, 1)[:, None] if alike else None


def halves(value: Array) -> tuple[tuple[str, Array, Array], ...] | None:
    """Weights of three values −n, 0, p → the places of either, and p and −n: Trained Ternary Quantization's."""
    above, below = value[value > 0], value[value < 0]
    if not (above.size and below.size and np.all(above == above[0]) and np.all(below == below[0])):
        return None
    positive, negative = (value > 0).astype(np.int8), (value < 0).astype(np.int8)
    return ("positive", positive, above[:1].astype(np.float64)), ("negative", negative, below[:1].astype(np.float64))
