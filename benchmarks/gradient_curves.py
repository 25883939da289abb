"""What the gradient modes of training do to curves: the last loss and validation error of short runs, as a table.

    python benchmarks/gradient_curves.py [--out runs/gradient-curves] [--modes float32,bf16,int8] [--seeds 3]

Two networks of the papers, narrower, in ten epochs: an MLP on all of MNIST, and a ConvNet on the first images of
CIFAR-10. Every run is one of `binarynet.train.fit` with one thread, in a folder of its own, so a second call goes on
where the first was stopped; a mode gets its next seed only when all modes have the one before.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from binarynet import recipes
from binarynet.data import DataSet, Split, load
from binarynet.errors import InputError, run_script
from binarynet.train import fit


class Task(NamedTuple):
    """A network: a recipe, its settings, and how many training images it sees (0: all)."""

    recipe: str
    settings: dict[str, str]
    images: int


TASKS = (
    Task("bnn-mnist", {"width": "512", "dropout": "0", "input_dropout": "0"}, 0),
    Task("bnn-cifar10", {"width_multiplier": "0.125", "hidden": "128"}, 5_000),
)


class End(NamedTuple):
    """The last epoch of a run."""

    loss: float
    validation_error: float


@cache
def data_set(name: str, images: int) -> DataSet:
    data = load(name)
    if not images:
        return data
    return replace(data, train=Split(data.train.images[:images], data.train.labels[:images]))


def run(task: Task, mode: str, seed: int, epochs: int, folder: Path) -> End:
    """Train, or read what was trained; the losses of training and errors of validation of the last epoch."""
    settings = {**task.settings, "epochs": str(epochs)}
    recipe = recipes.get(task.recipe).with_settings(settings)
    if not (folder / "result.json").exists():
        data = data_set(recipe.data, task.images)
        fit(recipe, data, folder, seed=seed, exist="resume", gradients=mode, threads=1, progress=False)
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != epochs:
        raise InputError(f"{folder}: {len(rows)} epochs, not {epochs}. Remove it, or choose another --out.")
    return End(float(rows[-1]["train_loss"]), float(rows[-1]["validation_error"]))


def table(modes: list[str], ends: dict[tuple[str, str, int], End]) -> str:
    """In Markdown: a row for each network and seed, a column for each mode, and the means."""

    def row(name: str, of: dict[str, list[End]]) -> str:
        cells = [f"{mean(e.loss for e in of[m]):.4f}, {mean(e.validation_error for e in of[m]):.2f} %" for m in modes]
        return f"| {name} | {' | '.join(cells)} |"

    lines = [f"| recipe, seed | {' | '.join(f'`{mode}`' for mode in modes)} |", "|---" * (len(modes) + 1) + "|"]
    for task in TASKS:
        seeds = sorted({seed for recipe, _, seed in ends if recipe == task.recipe})
        whole = [seed for seed in seeds if all((task.recipe, mode, seed) in ends for mode in modes)]
        for seed in whole:
            lines.append(row(f"`{task.recipe}`, {seed}", {mode: [ends[task.recipe, mode, seed]] for mode in modes}))
        if len(whole) > 1:
            every = {mode: [ends[task.recipe, mode, seed] for seed in whole] for mode in modes}
            lines.append(row(f"`{task.recipe}`, mean", every))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/gradient-curves"))
    parser.add_argument("--modes", default="float32,bf16,int8", help="gradient modes, as `binarynet train` names them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only", help="one of the recipes")
    options = parser.parse_args()
    modes, ends = options.modes.split(","), {}
    for seed in range(options.seeds):
        for task in TASKS:
            for mode in modes:
                if options.only not in (None, task.recipe):
                    continue
                folder = options.out / f"{task.recipe}-{mode}-{seed}"
                end = ends[task.recipe, mode, seed] = run(task, mode, seed, options.epochs, folder)
                print(f"{folder}: {end.loss:.4f}, {end.validation_error:.2f} %", flush=True)
    text = table(modes, ends)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    run_script(main)
