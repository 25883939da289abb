"""The field ``weight`` of an op: always small integers to whoever reads it, and bits until somebody does.

A network of 37 million weights takes 37 MB as int8 and 4.7 MB as the bits of its file. The engine wants the bits again,
so a loaded op keeps them and unpacks only for those that ask for numbers: the oracle, exports, analyses.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[Any]  # int8, or float32 where the encoding is f32


class Packed(Protocol):
    """Weights as a file holds them; `binarynet.format.packed` makes them. Their bits mean values of ``encoding``."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def encoding(self) -> str: ...

    def numbers(self) -> NDArray[np.int8]:
        """The integers, of ``shape``."""


class Weight:
    """A dataclass field that takes an array or `Packed`, and gives an array: unpacked when first read, then kept."""

    def __get__(self, op: Any, owner: type | None = None) -> Weights:
        if op is None:
            raise AttributeError("a weight has no default")  # so that dataclasses ask for one
        kept = held(op)
        if not isinstance(kept, np.ndarray):
            kept = op.__dict__["weight"] = kept.numbers()
        return kept

    def __set__(self, op: Any, value: Weights | Packed) -> None:
        op.__dict__["weight"] = value


WEIGHT = Weight()


def held(op: Any) -> Weights | Packed:
    """What an op's weight is stored as just now; reading ``op.weight`` would unpack it."""
    kept: Weights | Packed = op.__dict__["weight"]
    return kept


def described(op: Any) -> str:
    """The shape and encoding of an op's weights, in words; nothing for an op without."""
    return f"{'×'.join(map(str, op.weight_shape))} {op.weight_encoding}" if hasattr(op, "weight_encoding") else ""
