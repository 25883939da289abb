"""What a design costs on three FPGA families by yosys, its clock by nextpnr; a multiplier of floats beside an XNOR."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from binarynet.errors import ExportError
from binarynet.export.verilog.check import run, tool

# Family → the script that maps to it. Without DSP blocks, so that the rows compare.
FAMILIES = {"ice40": "synth_ice40", "xilinx": "synth_xilinx -family xc7 -nodsp", "ecp5": "synth_ecp5 -nodsp"}

# Cells that count as what; memories with their bits.
_LUTS = re.compile(r"SB_LUT4|LUT[1-6]")
_FLIPFLOPS = re.compile(r"SB_DFF\w*|FD[RSCP]E(_1)?|TRELLIS_FF")
_MEMORIES = {"SB_RAM40_4K": 4096, "RAMB18E1": 18432, "RAMB36E1": 36864, "DP16KD": 18432, "PDPW16KD": 18432}
_LUT_MEMORIES = re.compile(r"RAM(16|32|64|128|256)\w+|TRELLIS_DPR16X4")

PRIMITIVES = ("float_multiplier", "xnor_gate")


@dataclass(frozen=True)
class Area:
    """Cells of one design on one family. ``lut_memories`` are small memories made of LUTs."""

    family: str
    luts: int
    flipflops: int
    memories: dict[str, int]
    lut_memories: int

    @property
    def memory_text(self) -> str:
        blocks = [f"{count} {name}" for name, count in self.memories.items()]
        return " + ".join(blocks + ([f"{self.lut_memories} in LUTs"] if self.lut_memories else [])) or "none"

    def __str__(self) -> str:
        return f"{self.family}: {self.luts:,} LUTs, {self.flipflops:,} flip-flops, memories: {self.memory_text}"


def area(folder: Path, top: str, family: str, json: Path | None = None) -> Area:
    """Synthesise the module ``top`` of the files in ``folder``; ``json`` keeps the netlist for nextpnr.

    Raises:
        ExportError: yosys is missing or refuses the design.
    """
    tool("yosys", "yosys")
    parts = [*folder.glob("binarynet_*.v"), *folder.glob(f"{top}_*.v")]
    sources = " ".join(sorted({f"{top}.v", *(file.name for file in parts if file.name != f"{top}_tb.v")}))
    script = f"read_verilog {sources}; {FAMILIES[family]} -top {top}" + (f" -json {json}" if json else "")
    # Only the last table: those before it are of steps on the way.
    text = run(["yosys", "-p", f"{script}; tee -o /dev/stdout stat"], folder).rsplit("Number of cells:", 1)[-1]
    cells: Counter[str] = Counter()
    for name, count in re.findall(r"^ +(\$?\w+) +(\d+)$", text, re.MULTILINE):
        cells[name] += int(count)
    return Area(
        family,
        sum(count for name, count in cells.items() if _LUTS.fullmatch(name)),
        sum(count for name, count in cells.items() if _FLIPFLOPS.fullmatch(name)),
        {name: cells[name] for name in _MEMORIES if cells[name]},
        sum(count for name, count in cells.items() if _LUT_MEMORIES.fullmatch(name)),
    )


def clock(folder: Path, top: str) -> float:
    """MHz on an iCE40 HX8K after placing and routing with nextpnr-ice40.

    Raises:
        ExportError: a tool is missing, or the design does not fit the chip; the text says what is too many.
    """
    tool("nextpnr-ice40", "nextpnr-ice40")
    with tempfile.TemporaryDirectory() as scratch:
        netlist = Path(scratch) / "net.json"
        area(folder, top, "ice40", netlist)
        log = Path(scratch) / "log"
        command: list[str | Path] = [
            "nextpnr-ice40",
            "--hx8k",
            "--package",
            "ct256",
            "--json",
            netlist,
            "--pcf-allow-unconstrained",
        ]
        run([*command, "--seed", "1", "--quiet", "--log", log], folder)
        found = re.findall(r"Max frequency for clock .*?: ([\d.]+) MHz", log.read_text())
    if not found:
        raise ExportError("nextpnr-ice40 names no clock")
    return float(found[-1])


def primitives(family: str) -> tuple[Area, Area]:
    """One multiplier of IEEE-754 single precision, and one XNOR: the comparison that binary networks began with.

    Raises:
        ExportError: as `area`.
    """
    folder = Path(__file__).parent / "primitives"
    multiplier, xnor = (area(folder, name, family) for name in PRIMITIVES)
    return multiplier, xnor


def report(folder: Path, api: str) -> list[str]:
    """Lines: a table of the design, its clock where it fits the chip, and a table of the primitives.

    Raises:
        ExportError: yosys or nextpnr-ice40 is missing, or yosys refuses the design.
    """
    lines = ["| family | LUTs | flip-flops | memories |", "|---|---|---|---|"]
    areas = [area(folder, api, family) for family in FAMILIES]
    lines += [f"| {one.family} | {one.luts:,} | {one.flipflops:,} | {one.memory_text} |" for one in areas]
    tool("nextpnr-ice40", "nextpnr-ice40")
    try:
        lines += ["", f"{clock(folder, api):.1f} MHz on an iCE40 HX8K (nextpnr-ice40, seed 1)"]
    except ExportError as error:
        lines += ["", f"no clock on an iCE40 HX8K: {error}"]
    lines += ["", "| family | LUTs of a float32 multiplier | LUTs of an XNOR |", "|---|---|---|"]
    for family in FAMILIES:
        multiplier, xnor = primitives(family)
        lines.append(f"| {family} | {multiplier.luts:,} | {xnor.luts} |")
    return lines
