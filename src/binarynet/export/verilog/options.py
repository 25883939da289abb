"""What a user may choose for hardware."""

from __future__ import annotations

from dataclasses import dataclass

from binarynet.errors import ExportError, closest
from binarynet.export import options
from binarynet.export.options import choice
from binarynet.export.verilog import roms

LUTS = {"xilinx": 6, "ecp5": 4, "ice40": 4}  # family → inputs of its look-up tables


@dataclass(frozen=True)
class Options(options.Options):
    """``fold`` is how many outputs and inputs of a layer are computed in parallel, ``unroll`` names those that are
    computed at once, with constant weights."""

    fold: tuple[str, ...] = choice(
        (), "OUTPUTSxINPUTS in parallel (8x32), LAYER=OUTPUTSxINPUTS for one layer, or auto; repeatable.", "FOLD"
    )
    target_clocks: int | None = choice(None, "Clocks an image may take with --fold auto; default: the input's.", "N")
    luts: int | None = choice(None, "Look-up tables that folded layers may take with --fold auto, as estimated.", "N")
    unroll: tuple[str, ...] = choice(
        (), "LAYER whose weights become gates, one window or one vector a clock, or all; repeatable.", "LAYER"
    )
    family: str = choice("xilinx", "FPGA that counters are laid out for: xilinx (7 series), ecp5, ice40.")
    unpipelined: bool = choice(False, "Two registers a folded layer less: fewer flip-flops, a slower clock.")
    rom_path: str = choice("", "Folder in which tools find the ROMs: ROM_PATH of NAME.v.", "PREFIX")
    rom_style: str = choice("auto", f"Cells that ROMs are made of, as attributes: {', '.join(roms.STYLES)}.", "STYLE")
    simulator: str | None = choice(
        None, "What --check runs, verilator or iverilog; default: what is there.", changes_files=False
    )
    report: bool = choice(
        False, "LUTs, flip-flops, memories by yosys, clock by nextpnr, energy by a model.", changes_files=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_clocks is not None and self.target_clocks < 1:
            raise ExportError(f"target-clocks {self.target_clocks}: an image takes one clock at least")
        if self.luts is not None and (self.luts < 1 or self.target_clocks is not None):
            raise ExportError(f"luts {self.luts}: a number of tables, one at least, or target-clocks, not both")
        if self.family not in LUTS:
            raise ExportError(f"family {self.family!r}.{closest(self.family, LUTS)} Known: {', '.join(LUTS)}.")
        roms.checked(self.rom_path, self.rom_style)

    @property
    def lut(self) -> int:
        """Inputs of the family's look-up tables."""
        return LUTS[self.family]
