"""What a run says while it trains: a progress bar or a line an epoch, on stderr; of Lightning's own talk nothing."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from binarynet.train.module import RecipeModule

_LOGGERS = ("lightning.pytorch", "lightning.fabric")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's notices on hardware, loaders and other products. Errors and others' warnings pass."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def reporter(console: Console | None = None) -> Callback:
    """The bar on a terminal and in a notebook, else the lines."""
    console = console or Console(stderr=True)
    return EpochBar(console) if console.is_terminal or console.is_jupyter else EpochLines()


class EpochLines(Callback):
    """A line an epoch, for logs."""

    def on_validation_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            row = module.row
            print(
                f"epoch {row['epoch']:.0f}/{trainer.max_epochs}  loss {row['train_loss']:.4g}  " + _scores(module),
                file=sys.stderr,
                flush=True,
            )


class EpochBar(Callback):
    """One bar over all epochs, with the time that is left; redrawn by the clock, not by the step."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[scores]}"),
            console=console,
            refresh_per_second=4,
        )
        self._task: Any = None

    def on_train_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            steps = len(module.batches)
            total, done = steps * (trainer.max_epochs or 0), steps * trainer.current_epoch
            self._task = self._progress.add_task("", total=total, completed=done, epoch="", scores="")
            self._progress.start()

    def on_train_epoch_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if self._task is not None:
            self._progress.update(self._task, epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(self, trainer: Trainer, module: RecipeModule, *batch: Any) -> None:  # type: ignore[override]
        if self._task is not None:
            self._progress.advance(self._task)

    def on_validation_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if self._task is not None:
            row = module.row
            scores = f"loss {row['train_loss']:.4g}  {_scores(module)}"
            self._progress.update(self._task, scores=scores)

    def teardown(self, trainer: Trainer, module: RecipeModule, stage: str) -> None:  # type: ignore[override]
        self._progress.stop()

    def on_exception(self, trainer: Trainer, module: RecipeModule, exception: BaseException) -> None:  # type: ignore[override]
        self._progress.stop()


def _scores(module: RecipeModule) -> str:
    """What the validation said."""
    more = "".join(f"  {name} {module.row[f'validation_{name}']:.4g}" for name in module.recipe.measures(0.0))
    return f"validation error {module.row['validation_error']:.2f} %{more}"
