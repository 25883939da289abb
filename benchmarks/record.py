"""Put finished runs into the tables: run folders → src/binarynet/recipes/measured.json → docs/results.md.

    python benchmarks/record.py RUN [RUN ...]     add these runs (a run of the same command is replaced)
    python benchmarks/record.py                   only write the page anew

A run folder is what `binarynet train --out RUN` leaves. The page has two tables: of each recipe with a number in its
paper the run of the lowest validation error, and all runs; seeds of one command share a row. Of runs of 20 epochs and
more, but for the digits, docs/results/ keeps the curve: NAME.csv and NAME.png.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from binarynet import recipes
from binarynet.errors import run_script
from binarynet.recipes.measured import Measured, best, measured
from binarynet.train import RunFolder

ROOT = Path(__file__).parents[1]
FILE = ROOT / "src/binarynet/recipes/measured.json"
PAGE = ROOT / "docs/results.md"
CURVES = ROOT / "docs/results"
MARKS = "<!-- {}: begin -->", "<!-- {}: end -->"  # of a table of the page that is written here


def read(folder: Path) -> Measured:
    """The row of a finished run."""
    run = RunFolder(folder)
    config, result = run.read_config(), run.read_result()
    last = config["sessions"][-1]
    defaults = recipes.get(config["recipe"]).settings()
    changed = {
        name: ",".join(map(text, value)) if isinstance(value, list) else text(value)
        for name, value in config["settings"].items()
        if name != "epochs" and json.loads(json.dumps(defaults.get(name))) != value
    }
    return Measured(
        recipe=config["recipe"],
        settings=changed,
        epochs=result["epochs"],
        seed=config["seed"],
        precision=config["precision"],
        best_epoch=result["best_epoch"],
        validation_error=round(result["validation_error"], 4),
        test_error=round(result["test_error"], 4),
        device=result["device"],
        threads=last["threads"] * last["devices"] * last["nodes"],
    )


def curve_of(row: Measured) -> Path:
    """Where the curve of a run is kept, if it is, without the ending."""
    parts = [row.recipe, *(f"{name}={text}" for name, text in row.settings.items()), f"seed{row.seed}"]
    return CURVES / "-".join(parts).replace(",", "+").replace("/", "+")  # a run folder among the settings


def keep_curve(folder: Path, row: Measured) -> None:
    """docs/results/NAME.csv and .png: what the training and the validation images said, epoch by epoch."""
    import matplotlib.pyplot as plt

    with RunFolder(folder).metrics.open(encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    file_of = curve_of(row)
    CURVES.mkdir(exist_ok=True)
    columns = ("epoch", "lr", "train_loss", "train_error", "validation_error")
    lines = [",".join(columns), *(",".join(epoch[column] for column in columns) for epoch in epochs)]
    write(Path(f"{file_of}.csv"), "\n".join(lines) + "\n")
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    at = [int(epoch["epoch"]) for epoch in epochs]
    for column, label in (("train_error", "training"), ("validation_error", "validation")):
        axes.semilogy(at, [max(float(epoch[column]), 1e-2) for epoch in epochs], label=label)
    axes.axhline(row.test_error, color="black", linestyle=":", label=f"test, of epoch {row.best_epoch}")
    axes.set(xlabel="epoch", ylabel="error, %", title=row.command.removeprefix("binarynet train "))
    axes.title.set_fontsize(8)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(f"{file_of}.png", dpi=100)
    plt.close(figure)


def text(value: object) -> str:
    """A setting as one types it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def reported_and_ours(rows: tuple[Measured, ...]) -> list[str]:
    """The Markdown table of the best run, by validation, of each recipe whose paper has a number."""
    lines = ["| command | reported | ours | curve |", "|---|---|---|---|"]
    for name in recipes.names():
        recipe, row = recipes.get(name), best(name, rows)
        reported = recipe.reported.get(recipe.data)
        if row is None or reported is None:
            continue
        curve = Path(f"{curve_of(row)}.png")
        link = f"[curve]({curve.relative_to(PAGE.parent)})" if curve.exists() else ""
        lines.append(f"| `{row.command}` | {reported:.2f} % | {row.test_error:.2f} % | {link} |")
    return lines


def all_runs(rows: tuple[Measured, ...]) -> list[str]:
    """The Markdown table of all: one line for each command, its seeds together."""
    lines = [
        "| command | epochs | reported, full run | ours, test error | seeds | on |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[Measured]] = {}
    for row in rows:
        groups.setdefault(row.command.split(" --seed")[0], []).append(row)
    for command, runs in groups.items():
        recipe = recipes.get(runs[0].recipe).with_settings(runs[0].settings)
        reported = recipe.reported.get(recipe.data)
        errors = [run.test_error for run in runs]
        ours = f"{mean(errors):.2f} %" + (f" ({min(errors):.2f} – {max(errors):.2f})" if len(errors) > 1 else "")
        on = f"{runs[0].device.replace('cpu', 'CPU')}, {runs[0].threads} thread{'s' if runs[0].threads > 1 else ''}"
        seeds = ", ".join(str(run.seed) for run in runs)
        full = f"{reported:.2f} %" if reported else "–"
        lines.append(f"| `{command}` | {runs[0].epochs} | {full} | {ours} | {seeds} | {on} |")
    return lines


def page(text: str, rows: tuple[Measured, ...]) -> str:
    """The page with the tables between their marks made anew."""
    for name, lines in (("best", reported_and_ours(rows)), ("measured", all_runs(rows))):
        begin, end = (mark.format(name) for mark in MARKS)
        before, rest = text.split(begin)
        text = "\n".join([before + begin, *lines, end + rest.split(end)[1]])
    return text


def write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def main(folders: list[str]) -> None:
    rows = {row.command: row for row in measured()}
    for folder in map(Path, folders):
        row = read(folder)
        rows[row.command] = row
        if row.epochs >= 20 and not row.recipe.endswith("-digits"):
            keep_curve(folder, row)
    ordered = tuple(sorted(rows.values(), key=lambda row: (row.recipe, row.test_error, row.seed)))
    write(FILE, json.dumps([asdict(row) for row in ordered], indent=1, ensure_ascii=False) + "\n")
    write(PAGE, page(PAGE.read_text(encoding="utf-8"), ordered))


if __name__ == "__main__":
    run_script(lambda: main(sys.argv[1:]))
