"""What a user may choose for hardware."""

from __future__ import annotations

from dataclasses import dataclass

from binarynet.export import options
from binarynet.export.options import choice


@dataclass(frozen=True)
class Options(options.Options):
    """``fold`` is how many outputs and inputs of a layer are computed in parallel."""

    fold: tuple[str, ...] = choice(
        (), "OUTPUTSxINPUTS in parallel (8x32), for a layer LAYER=OUTPUTSxINPUTS; repeatable.", "FOLD"
    )
    simulator: str | None = choice(
        None, "What --check runs, verilator or iverilog; default: what is there.", changes_files=False
    )
    report: bool = choice(False, "LUTs, flip-flops and memories by yosys, the clock by nextpnr.", changes_files=False)
