"""What a user may choose for C."""

from __future__ import annotations

from dataclasses import dataclass

from binarynet.export.options import WordOptions, choice


@dataclass(frozen=True)
class Options(WordOptions):
    """``constant_time``: neither the path nor an address depends on the image."""

    word: int = choice(64, "Bits of a machine word: 32 for microcontrollers, 16, or 64.")
    constant_time: bool = choice(False, "Take the same path and the same addresses for every image.")

    @classmethod
    def words(cls) -> tuple[int, ...]:
        return (16, 32, 64)
