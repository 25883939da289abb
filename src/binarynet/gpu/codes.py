"""How values lie on the GPU: ±1 as bits in 32-bit words, every other code as one int8, accumulators and reals as such.

The words are those of `binarynet.format.bits`, each 64-bit word as its two halves, so a row has an even number of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from binarynet.graph import Encoding

HALF = 32


def halves_for(length: int) -> int:
    """How many 32-bit words hold ``length`` bits, in whole 64-bit words."""
    return -(-length // 64) * 2


@dataclass(frozen=True)
class Stored:
    """An int8 c means ``scale · c + offset``; the count of passed thresholds is stored as low + step · count."""

    scale: int
    offset: int
    low: int
    step: int


def stored(encoding: Encoding) -> Stored:
    """Codes are stored as what they mean, except for the two whose values do not fit: b8 and u8 lie moved by −128."""
    if str(encoding) == "b8":
        return Stored(2, 1, -128, 1)
    if str(encoding) == "u8":
        return Stored(1, 128, -128, 1)
    return Stored(1, 0, encoding.low, encoding.step)


def digit_values(encoding: Encoding) -> tuple[tuple[int, int], ...]:
    """For each plane of `binarynet.format.bits.planes` of a weight: what the digits 0 and 1 add to the value.

    A graph holds weights as int8, so the eighth plane of u8 is always 0, and left out.
    """
    if encoding.kind == "t":
        return ((0, -1), (0, 2))  # is not 0, is +1
    if encoding.kind == "b":
        return tuple((-(1 << n), 1 << n) for n in range(encoding.bits))
    last = encoding.bits - 1
    worth = [-(1 << n) if encoding.kind == "i" and n == last else 1 << n for n in range(encoding.bits)]
    return tuple((0, value) for value in worth if value < 128)
