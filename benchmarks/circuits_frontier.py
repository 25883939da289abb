"""Area against throughput of our circuits for MNIST, beside published ones: measured rows, and the picture of them.

    python benchmarks/circuits_frontier.py --measure NAME [--measure NAME]...   exports, places: minutes each
    python benchmarks/circuits_frontier.py [--out docs/images/circuits.png]     the rows as a table, and the picture

Rows are kept in benchmarks/results/circuits.csv. Each is an ECP5-85F by yosys and nextpnr (seed 1), with the cells
that nextpnr places. Published figures are those of their authors, on other chips, whose tables have six inputs.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from binarynet import load_graph
from binarynet.errors import InputError, run_script
from binarynet.export import write
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.report import interval, placed
from binarynet.models import zoo
from binarynet.plot.figure import new_figure, plain
from binarynet.report.analysis import analyse

ROWS = Path(__file__).parent / "results" / "circuits.csv"
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "circuits.png"

# Name → the model and how it is built. Errors are those of its card.
DESIGNS = {
    "small-chip, ULX3S": ("small-chip", {}),  # an ECP5-25F with a serial line: from `make boards`
    "small-chip, 2x16": ("small-chip", {"fold": ("2x16", "conv1=4x1")}),
    "small-chip, 8x32": ("small-chip", {"fold": ("8x32",)}),
    "small-chip, 16x64": ("small-chip", {"fold": ("16x64", "conv1=64x1")}),
    "mnist-small, 8x32": ("mnist-small", {"fold": ("8x32",)}),
    "mnist-small, auto": ("mnist-small", {"fold": ("auto",)}),
    "sparse-small, 4x28": (  # a row of pixels a clock, compared as they come
        "sparse-small",
        {"unroll": ("thermometer",), "fold": ("input=28x1", "linear1=4x28", "linear2=2x60", "classes=1x12")},
    ),
    "sparse-small, a clock": ("sparse-small", {"unroll": ("all",), "fold": ("input=784x1",)}),
}


@dataclass(frozen=True)
class Row:
    """A design on the chip."""

    design: str
    error: float  # %
    cells: int
    mhz: float
    clocks: int  # of an image

    @property
    def images(self) -> float:
        """A second."""
        return self.mhz * 1e6 / self.clocks


@dataclass(frozen=True)
class Published:
    """What others state. ``images`` is None where no rate is given with it: then it is drawn at an image a clock, which
    is the most that there can be."""

    name: str
    tables: int
    mhz: float
    images: float | None
    error: float


# arXiv 1612.07119 states 12.3 million images a second and 95.8 %. The tables and clocks are of Table III of NeuraLUT,
# arXiv 2403.00849, which sets the three beside each other and rounds accuracies to whole percents.
PUBLISHED = (
    Published("FINN, SFC-max", 91_131, 200, 12.3e6, 4.2),
    Published("PolyLUT, HDR", 70_673, 378, None, 4),
    Published("NeuraLUT, HDR-5L", 54_798, 431, None, 4),
)


def measured(name: str) -> Row:
    """Export, synthesise, place and route one design.

    Raises:
        ExportError: a tool is missing, or the design does not fit.
    """
    model, options = DESIGNS[name]
    with tempfile.TemporaryDirectory() as folder:
        write(load_graph(model), "verilog", Path(folder), Options("net", family="ecp5", **options))
        found = placed(Path(folder), "net", "ecp5")
        clocks = interval((Path(folder) / "net.v").read_text(encoding="ascii"))
    return Row(name, zoo.entries()[model].error, found.used, found.mhz, clocks)


def kept() -> dict[str, Row]:
    """The rows of the file by their names."""
    if not ROWS.exists():
        return {}
    with ROWS.open(encoding="utf-8", newline="") as file:
        rows = [
            Row(r["design"], float(r["error"]), int(r["cells"]), float(r["mhz"]), int(r["clocks"]))
            for r in csv.DictReader(file)
        ]
    return {row.design: row for row in rows}


def keep(rows: dict[str, Row]) -> None:
    with ROWS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rows[name]) for name in DESIGNS if name in rows)


def table(rows: dict[str, Row]) -> list[str]:
    """Lines of Markdown. The energy is the model's of `binarynet.report.analysis` (45 nm), not the chip's."""
    columns = ("design", "errors", "cells", "clock", "clocks an image", "images a second")
    columns += ("MACs a clock and cell", "energy, 45 nm model")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows.values():
        cost = analyse(load_graph(DESIGNS[row.design][0]))
        dense = sum(layer.macs for layer in cost.layers) / row.clocks / row.cells
        numbers = f"{row.cells:,} | {row.mhz:.1f} MHz | {row.clocks:,} | {row.images:,.0f}"
        numbers += f" | {dense:.2g} | {cost.cost.energy_pj / 1e3:,.0f} nJ"
        lines.append(f"| {row.design} | {row.error:.2f} % | {numbers} |")
    return lines


def picture(rows: dict[str, Row], out: Path) -> None:
    """Cells to the right, images a second upwards; both axes count in powers of ten."""
    figure = new_figure(7.5, 4.5)
    axes = figure.subplots()
    plain(
        axes,
        "MNIST: area against throughput",
        "look-up tables (ours: cells of an ECP5, four inputs)",
        "images a second",
    )
    points = [(row.cells, row.images, f"{row.design} ({row.error:.2f} %)", "o", "C0") for row in rows.values()]
    for one in PUBLISHED:
        marker, note = ("s", "") if one.images else ("^", ", at most")
        text = f"{one.name} ({one.error:g} %{note})"
        points.append((one.tables, one.images or one.mhz * 1e6, text, marker, "C3"))
    for x, y, text, marker, colour in points:
        axes.plot(x, y, marker, color=colour, markerfacecolor="none" if marker == "^" else colour)
        beside = (-5, -12) if marker == "^" and x > 60_000 else (5, 4)  # two of the published ones are neighbours
        axes.annotate(text, (x, y), xytext=beside, textcoords="offset points", fontsize=7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1e3, 1e6)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="append", default=[], metavar="NAME")
    parser.add_argument("--out", type=Path, default=PICTURE)
    given = parser.parse_args()
    rows = kept()
    for name in given.measure:
        if name not in DESIGNS:
            raise InputError(f"no design {name!r}; there are {'; '.join(DESIGNS)}")
        if not DESIGNS[name][1]:
            raise InputError(f"{name}: its row is what `make boards` prints")
        rows[name] = measured(name)
        keep(rows)
    print("\n".join(table(rows)))
    picture(rows, given.out)


if __name__ == "__main__":
    run_script(main)
