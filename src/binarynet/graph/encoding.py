"""Encodings: what a stored code means as a number.

======== ============================== ============================================
name     values                         stored as
======== ============================== ============================================
b1 … b8  2c − (2^K − 1): bipolar        K binary digits of ±1; b1 = {−1, +1}
u1 … u8  c: unsigned                    K binary digits of 0 / 1
i2 … i8  c: two's complement            K binary digits, the top one counts negative
t2       {−1, 0, +1}                    a sign bit and a non-zero bit
i32      accumulator                    32-bit integer
f32      real                           IEEE single precision
======== ============================== ============================================

A bipolar code is a number written with digits ±1 instead of 0 and 1: ``value = Σ 2^n d_n``. So a raw byte
read as b8 is 2x − 255, which is 255 times the papers' 2x/255 − 1 (BinaryNet, Train-time/mnist.py): eight
±1 digits, a dot product that stays exact in integers, and a zero padding that means the number 0.
"""

from __future__ import annotations

from dataclasses import dataclass

_WIDTHS = {"b": range(1, 9), "u": range(1, 9), "i": (2, 3, 4, 5, 6, 7, 8, 32), "t": (2,), "f": (32,)}


@dataclass(frozen=True)
class Encoding:
    """``Encoding.parse("b8")``: a kind (one of ``b u i t f``) and a width in bits.

    ``low`` and ``high`` bound the values of an integer encoding.
    """

    kind: str
    bits: int

    @classmethod
    def parse(cls, name: str) -> Encoding:
        """Raises ValueError for a name that is not in the table above."""
        kind, width = name[:1], name[1:]
        plain = width.isascii() and width.isdigit() and not width.startswith("0")
        if plain and int(width) in _WIDTHS.get(kind, ()):
            return cls(kind, int(width))
        raise ValueError(f"unknown encoding {name!r}; known: b1…b8, u1…u8, i2…i8, t2, i32, f32")

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def low(self) -> int:
        return {
            "b": 1 - (1 << self.bits),
            "u": 0,
            "i": -(1 << (self.bits - 1)),
            "t": -1,
        }[self.kind]

    @property
    def high(self) -> int:
        return {
            "b": (1 << self.bits) - 1,
            "u": (1 << self.bits) - 1,
            "i": (1 << (self.bits - 1)) - 1,
            "t": 1,
        }[self.kind]

    @property
    def step(self) -> int:
        """The distance between neighbouring values: 2 for bipolar codes, else 1."""
        return 2 if self.kind == "b" else 1

    @property
    def count(self) -> int:
        """How many values there are; a threshold to this encoding has one level less."""
        return (self.high - self.low) // self.step + 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value, which bounds every dot product: |acc| ≤ depth · magnitude · magnitude."""
        return max(-self.low, self.high)

    def __str__(self) -> str:
        return f"{self.kind}{self.bits}"
