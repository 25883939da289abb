"""The curves of runs: loss, error, how many weights still flip, how many stand at their limit."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from binarynet.errors import InputError
from binarynet.plot.figure import new_figure, panels, plain

_PANELS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("loss", ("train_loss", "validation_loss"), "log"),
    ("error, %", ("train_error", "validation_error"), "linear"),
    ("weights that flipped in the epoch", ("flip_ratio",), "log"),
    ("weights at their limit", ("saturated",), "linear"),
)
Rows = list[dict[str, float]]


def history(*runs: str | os.PathLike[str]) -> Any:
    """A `Figure` of the curves of one run folder, or of several, to be compared.

    Raises `InputError` for a folder without a metrics.csv, or one that no run wrote.
    """
    if not runs:
        raise InputError("history: give at least one run folder")
    return curves({Path(run).name or str(run): read_metrics(Path(run) / "metrics.csv") for run in runs})


def read_metrics(path: Path) -> Rows:
    """The rows of a metrics.csv. `InputError`, naming the file, if it is missing or no table of numbers."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [{str(name): float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: no epoch of a run is written there") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is no table that a run wrote: {error}") from None
    if not rows or "epoch" not in rows[0]:
        raise InputError(f"{path} holds no epoch of a run")
    return rows


def curves(runs: Mapping[str, Rows]) -> Any:
    """A `Figure` of rows by the name of their run; only of what was measured."""
    shown = [panel for panel in _PANELS if any(name in rows[0] for rows in runs.values() for name in panel[1])]
    figure = new_figure(8, 2.4 * -(-len(shown) // 2))
    for axes, (title, names, scale) in zip(panels(figure, -(-len(shown) // 2), 2), shown, strict=False):
        for number, (run, rows) in enumerate(runs.items()):
            _draw(axes, run if len(runs) > 1 else "", rows, names, f"C{number}" if len(runs) > 1 else None)
        values = [row[name] for rows in runs.values() for row in rows for name in names if name in row]
        if scale == "log" and all(value > 0 and math.isfinite(value) for value in values):
            axes.set_yscale("log")
        plain(axes, title, "epoch")
        axes.legend(fontsize=7, frameon=False)
    for axes in figure.axes[len(shown) :]:
        axes.set_axis_off()
    return figure


def _draw(axes: Any, run: str, rows: Rows, names: Sequence[str], colour: str | None) -> None:
    for name in (name for name in names if name in rows[0]):
        label = f"{run} {name.partition('_')[0] if len(names) > 1 else ''}".strip() or name
        style = "--" if name.startswith("train") and run else "-"
        line = axes.plot([row["epoch"] for row in rows], [row[name] for row in rows], style, linewidth=1.2)[0]
        line.set_label(label.replace("$", r"\$"))
        if colour:
            line.set_color(colour)
        if len(rows) == 1:
            line.set_marker("o")
