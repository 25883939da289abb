"""When a run keeps what it has learnt: last.ckpt and best.ckpt, written by Lightning's callbacks after an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.plugins.io import CheckpointIO

from binarynet.train.checkpoint import read, read_best, save
from binarynet.train.folder import RunFolder
from binarynet.train.module import RecipeModule


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


class Evaluated(Callback):
    """The weights that the last validation saw, where a callback such as EMA has put others in for it.

    First of all callbacks, so that it looks before the weights are put back.
    """

    state: dict[str, Any] | None = None  # None: they are the model's own

    def on_validation_epoch_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if any(isinstance(one, WeightAveraging) for one in trainer.callbacks):  # type: ignore[attr-defined]
            self.state = {name: value.detach().clone() for name, value in module.model.state_dict().items()}


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

    def __init__(self, folder: RunFolder, evaluated: Evaluated | None = None) -> None:
        self.folder, self.evaluated = folder, evaluated or Evaluated()
        self._lowest = float("inf")
        self._due = 0.0  # when last.ckpt is written next, by the monotonic clock

    def on_train_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if trainer.is_global_zero and self.folder.best.exists():
            best = read_best(self.folder.best, mmap=True)
            self._lowest = best.get("chosen_by", best["validation_error"])

    def on_train_epoch_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        epoch, error = int(module.row["epoch"]), module.row["validation_error"]
        chosen_by = module.row[module.recipe.chosen_by]
        if trainer.is_global_zero and chosen_by <= self._lowest and module.recipe.selectable(epoch - 1):
            self._lowest = chosen_by
            state = {"epoch": epoch, "validation_error": error, "chosen_by": chosen_by}
            save({**state, "model": self.evaluated.state or module.model.state_dict()}, self.folder.best)
        weights = sum(parameter.nbytes for parameter in module.model.parameters())
        start = time.monotonic()
        write = weights < LARGE or start >= self._due or epoch == trainer.max_epochs or trainer.should_stop
        if trainer.strategy.broadcast(write):  # the clocks of the processes differ
            trainer.save_checkpoint(self.folder.last)  # in all processes; rank 0 writes
            end = time.monotonic()
            self._due = end + SHARE * (end - start)
