"""What our own runs of the recipes have reached: the rows of measured.json, and the commands that made them.

`benchmarks/record.py` writes the file from run folders, and docs/results.md from the file; nobody types a number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run: the epoch with the lowest validation error (percent), and what it makes of the test images.

    settings: those that differ from the recipe's, as texts.
    device: what it ran on; threads: of torch, in all.
    """

    recipe: str
    settings: dict[str, str]
    epochs: int
    seed: int
    precision: str
    best_epoch: int
    validation_error: float
    test_error: float
    device: str
    threads: int

    @property
    def command(self) -> str:
        """The command line that repeats it."""
        parts = ["binarynet train", self.recipe]
        parts += [f"--set {name}={text}" for name, text in self.settings.items()]
        parts.append(f"--epochs {self.epochs}")
        parts += [f"--precision {self.precision}"] if self.precision != "32" else []
        parts += [f"--seed {self.seed}"] if self.seed else []
        return " ".join(parts)


@cache
def measured() -> tuple[Measured, ...]:
    """All rows, by recipe; the best of a recipe first."""
    rows = json.loads(files(__package__).joinpath("measured.json").read_text(encoding="utf-8"))
    return tuple(Measured(**row) for row in rows)


def best(recipe: str, rows: Iterable[Measured] | None = None) -> Measured | None:
    """The run of a recipe, on its own data, with the lowest validation error; None if there is none.

    rows: the runs to choose from; None: all that are measured.
    """
    candidates = measured() if rows is None else rows
    rows = [row for row in candidates if row.recipe == recipe and "data" not in row.settings]
    return min(rows, key=lambda row: row.validation_error, default=None)
