"""Where values lie: one array of registers, a register for each binary digit of each number (of many images).

A number of an encoding is kept as the index c of its value, value = low + step · c, so all encodings are alike here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Encoding
from binarynet.graph.ir import Padding

NO_BORDER: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Grid:
    """An image with a border around it: register of (i, j, c, k) = base + i · row + j · column + c · bits + k.

    ``border`` is how far i and j may leave the image; codes ``fill`` stand there.
    """

    base: int
    row: int
    column: int
    border: Padding = NO_BORDER
    fill: int = 0

    def has(self, padding: Padding, fill: int) -> bool:
        """Whether a window may reach so far over the edges."""
        enough = np.all(np.asarray(self.border) >= np.asarray(padding))
        return padding == NO_BORDER or (bool(enough) and fill == self.fill)


@dataclass(frozen=True)
class Stored:
    """Codes of ``encoding``: ``places`` (*shape, bits) is the register of each digit, lowest first."""

    places: NDArray[Any]
    encoding: Encoding
    grid: Grid | None = None

    @property
    def bits(self) -> int:
        return int(self.places.shape[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.places.shape[:-1])

    @property
    def low(self) -> int:
        return self.encoding.low

    @property
    def step(self) -> int:
        return self.encoding.step


def digits(encoding: Encoding) -> int:
    """Binary digits of the index of a value: 2 for t2, which has three values."""
    return (encoding.count - 1).bit_length()


def code_of(encoding: Encoding, value: int) -> int | None:
    """The index of a number, or None if the encoding does not have it."""
    index, rest = divmod(value - encoding.low, encoding.step)
    return index if rest == 0 and 0 <= index < encoding.count else None


@dataclass
class Memory:
    """``size`` registers so far, and those of them that are filled once: (register, count, ones)."""

    size: int = 0
    ones: list[int] = field(default_factory=list)  # registers that hold 1 for ever; all others begin as 0

    def take(self, count: int) -> int:
        self.size += count
        return self.size - count

    def grid(
        self, shape: tuple[int, ...], bits: int, border: Padding = NO_BORDER, fill: int = 0
    ) -> tuple[NDArray[Any], Grid]:
        """Room for an image (h, w, c) or a vector (c,); its border holds the code ``fill``."""
        height, width, channels = shape if len(shape) == 3 else (1, 1, *shape)
        (top, bottom), (left, right) = border
        rows, columns = height + top + bottom, width + left + right
        column = channels * bits
        start = self.take(rows * columns * column)
        every = (start + np.arange(rows * columns * column)).reshape(rows, columns, channels, bits)
        inside = every[top : top + height, left : left + width]
        if fill:
            outside = np.ones(every.shape, bool)
            outside[top : top + height, left : left + width] = False
            digit = np.broadcast_to(fill >> np.arange(bits) & 1, every.shape)
            self.ones += every[outside & (digit == 1)].tolist()
        base = start + top * columns * column + left * column
        return inside.reshape(*shape, bits), Grid(base, columns * column, column, border, fill)
