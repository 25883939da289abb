"""Checkpoints that are either whole or not there, and that run no code when they are read.

`last.ckpt` is the state of training after the last full epoch (Lightning's dictionary: weights, optimizer,
schedule, progress, rows of metrics). `best.ckpt` is the network with the lowest validation error so far:
`epoch`, `validation_error`, `model`. Both are read with torch's `weights_only=True`, which refuses everything
but tensors and plain containers.

No generator state is stored: every epoch seeds its own random numbers (`loader.torch_seed`), and checkpoints
are written between epochs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO

from binarynet.errors import TrainingError
from binarynet.train.folder import RunFolder
from binarynet.train.module import RecipeModule


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` beside `path`, then rename: whoever reads finds the old file or the new one."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, part)
    os.replace(part, path)


def read(path: Path, **options: Any) -> dict[str, Any]:
    """What `save` wrote, on the CPU unless `options` (of `torch.load`) say otherwise.

    `TrainingError` for a file that is missing, damaged, or of someone else.
    """
    try:
        state = torch.load(path, **{"map_location": "cpu", **options, "weights_only": True})
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist: no epoch that may be chosen is finished yet.") from None
    except Exception as error:  # RuntimeError, UnpicklingError, EOFError, ... by where the damage is
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TrainingError(
            f"{path} is damaged, or is no checkpoint of this package: {reason}. "
            "Restore it from a copy, or train into another --out."
        ) from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path} is no checkpoint of this package: it holds a {type(state).__name__}.")
    return state


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's checkpoints through `save` and `read`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read(Path(path), map_location=map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


LARGE = 64 << 20  # bytes of weights from which writing them shows in the time of an epoch
SHARE = 20  # at most one part in so many of the time goes into writing them


class Checkpoints(Checkpoint):
    """After every epoch: best.ckpt if no validation error was lower so far, then last.ckpt.

    With weights above `LARGE` bytes (and two moments of that size), last.ckpt waits until writing it takes less than
    1 / `SHARE` of the time since it was last written; after the last epoch it is written in any case. A resumed run
    then repeats the epochs since, to the same weights.

    Epochs that the recipe does not call `selectable` cannot be the best. Of equal errors the latest epoch counts,
    as in the authors' code. What the best was, best.ckpt alone knows: so its weights, epoch and error belong
    together even if a kill falls between the two files and the epoch after the resume comes out differently
    (another machine).
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._lowest = float("inf")
        self._due = 0.0  # when last.ckpt is written next, by the monotonic clock

    def on_train_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if trainer.is_global_zero and self.folder.best.exists():
            self._lowest = read(self.folder.best, mmap=True)["validation_error"]

    def on_train_epoch_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        epoch, error = int(module.row["epoch"]), module.row["validation_error"]
        if trainer.is_global_zero and error <= self._lowest and module.recipe.selectable(epoch - 1):
            self._lowest = error
            save({"epoch": epoch, "validation_error": error, "model": module.model.state_dict()}, self.folder.best)
        weights = sum(parameter.nbytes for parameter in module.model.parameters())
        start = time.monotonic()
        write = weights < LARGE or start >= self._due or epoch == trainer.max_epochs
        if trainer.strategy.broadcast(write):  # the clocks of the processes differ
            trainer.save_checkpoint(self.folder.last)  # in all processes; rank 0 writes
            end = time.monotonic()
            self._due = end + SHARE * (end - start)
