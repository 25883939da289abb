"""What the numbers of an image mean, once: `binarynet.nn.ByteInput` and `binarynet.runtime` both ask here.

Integers are bytes (codes). Of floats it is decided by what is in the array: see the table of docs/data.md.
"""

from __future__ import annotations

from typing import Literal

Meaning = Literal["bytes", "intensities", "either", "neither"]

TAKEN = "bytes 0..255 (uint8, other integers, or whole floats) or intensities in [0, 1]"


def either(highest: int = 255) -> str:
    """What is said of floats that are 0 and 1 alone."""
    return (
        "the floats are 0 and 1 alone, which may be bytes or intensities: pass bytes as uint8, "
        f"and black and white as {highest} * x"
    )


def meaning(low: float, high: float, whole: bool, highest: int = 255) -> Meaning:
    """What floats from ``low`` to ``high`` (NaN if there is one) mean; ``whole``: each of them is a whole number.

    ``highest`` is the highest code, which the intensity 1 stands for. Zeros alone are code 0 by both readings.
    """
    if not low >= 0:
        return "neither"
    if whole and high <= highest:
        return "bytes" if high > 1 or high == 0 or highest == 1 else "either"
    return "intensities" if high <= 1 else "neither"
