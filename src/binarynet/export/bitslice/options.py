"""What the target takes: nothing but what all take."""

from __future__ import annotations

from dataclasses import dataclass

from binarynet.export.options import Options as _Options


@dataclass(frozen=True)
class Options(_Options):
    """The width of a register is not among them: the code has it from the instruction set it is compiled for."""
