"""The picture: how much work each byte allows, and how fast it is done, under the roofs of the machine."""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from binarynet.bench.suite.limits import Roof
from binarynet.bench.suite.measure import Suite
from binarynet.bench.suite.page import Table
from binarynet.errors import RuntimeUnavailable

_ROOFS = ("amx int8", "avx512 adders", "avx512 popcount", "avx512 vnni", "avx512 fma", "avx2 fma")
_MARKS = {"binarynet": "o", "fastest peer": "s", "torch fp32": "^"}


def draw(suite: Suite, target: str | IO[bytes]) -> None:
    """Write a PNG: one panel a thread count, logarithmic; multiply-adds ÷ bytes against multiply-adds ÷ second.

    Bytes are those that must be moved at least: of packed weights, input and answer.

    Raises:
        RuntimeUnavailable: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise RuntimeUnavailable("a picture needs matplotlib: pip install matplotlib") from None

    figure = Figure(figsize=(7 * len(suite.roofs), 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    for index, roof in enumerate(suite.roofs, 1):
        _panel(figure.add_subplot(1, len(suite.roofs), index), Table(suite), roof)
    figure.savefig(target, dpi=120, format="png", metadata={"Software": None})


def _panel(axes: Any, table: Table, roof: Roof) -> None:
    works = [work for work in table.suite.works if table.ours(work, roof.threads)]
    intensity = {work.name: sum(work.macs.values()) / work.bytes for work in works}
    span = np.geomspace(min(intensity.values(), default=1) / 3, max(intensity.values(), default=100) * 3, 200)
    top = max(roof.macs.values(), default=1e12) / 1e9
    for unit in _ROOFS:
        if roof.macs.get(unit):
            axes.axhline(roof.macs[unit] / 1e9, color="0.4", linewidth=0.8)
            axes.text(span[-1], roof.macs[unit] / 1e9, unit, ha="right", va="bottom", fontsize=7, color="0.3")
    for size in dict.fromkeys((min(roof.reads), 2 << 20, max(roof.reads))):
        rate = roof.bandwidth(size) / 1e9
        axes.plot(span, np.minimum(span * rate, top), color="0.7", linewidth=0.8)
        axes.text(span[0], span[0] * rate, f"{rate:,.0f} GB/s ({size >> 10:,} KB)", fontsize=7, color="0.3")
    for work, colour in zip(works, [f"C{number}" for number in range(10)] * 2, strict=False):
        cells = {
            "binarynet": table.ours(work, roof.threads),
            "fastest peer": table.fastest(work, roof.threads),
            "torch fp32": table.base(work, roof.threads),
        }
        for name, cell in cells.items():
            if cell is not None and cell.seconds:
                rate = sum(work.macs.values()) / cell.seconds / 1e9
                label = work.name if name == "binarynet" else None
                axes.plot(intensity[work.name], rate, _MARKS[name], color=colour, markersize=6, label=label)
    for name, mark in _MARKS.items():
        axes.plot([], [], mark, color="0.5", label=name)
    axes.set(xscale="log", yscale="log", xlim=span[[0, -1]])
    axes.set_xlabel("multiply-adds a byte that must be moved")
    axes.set_ylabel("10⁹ multiply-adds a second")
    axes.set_title(f"{roof.threads} thread{'s' * (roof.threads > 1)}")
    axes.legend(fontsize=7, loc="lower right")
