"""The training loop of a recipe, as Lightning wants to see it."""

from __future__ import annotations

import math
import sys
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from binarynet.errors import TrainingError
from binarynet.recipes import Recipe
from binarynet.train.evaluate import Scores, Tally, scores
from binarynet.train.loader import Batch, TrainingBatches, torch_seed
from binarynet.train.norms import reestimate
from binarynet.train.teacher import Teacher

CHECK_EVERY = 50  # steps between two looks at the loss, each of which waits for the device
RUNAWAY = 10  # times the loss of the first step: no network that learns gets there


class RecipeModule(LightningModule):
    """A recipe and its model under training; `row` collects what is known of the epoch so far.

    `row` holds `epoch` (from 1), `lr` (of parameters without step scale), and after the validation of the
    epoch `train_loss`, `train_error`, `validation_loss`, `validation_error`; errors in percent. The training
    scores are those of the training steps themselves: weights in motion, dropout on.

    Evaluation runs in float32 whatever the training precision: that is the network that will be lowered.
    `TrainingError` when the loss stops being finite; a line on stderr, once, when it has become `RUNAWAY` times that of
    the first step.
    """

    def __init__(
        self, recipe: Recipe, model: nn.Module, batches: TrainingBatches, seed: int, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.recipe, self.model, self.batches, self.seed, self.teacher = recipe, model, batches, seed, teacher
        self.row: dict[str, float] = {}
        self._train, self._validation = Tally(), Tally()
        self._first: float | None = None  # the loss of the first step

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the state of another network, before torch finds out halfway."""
        found, wanted = checkpoint.get("state_dict"), self.state_dict()
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            raise TrainingError("last.ckpt is of another network. Restore it from a copy, or train into another --out.")
        for name, value in wanted.items():
            if getattr(found[name], "shape", None) != value.shape:
                raise TrainingError(
                    f"last.ckpt is of another network: {name} is {_size(found[name])} there, and "
                    f"{_size(value)} with these settings. Restore it from a copy, or train into another --out."
                )

    def configure_optimizers(self) -> Any:
        optimizer, schedule = self.recipe.optimizer(self.model)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """As Lightning does, which refuses fused optimizers under bf16, for the scaler that others have."""
        if gradient_clip_val:
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            nn.utils.clip_grad_norm_(weights, gradient_clip_val)

    def on_train_epoch_start(self) -> None:
        self.batches.epoch = self.current_epoch
        torch.manual_seed(torch_seed(self.seed, self.current_epoch, self.global_rank))
        self.recipe.begin_epoch(self.model, self.current_epoch)
        group = self.trainer.optimizers[0].param_groups[0]
        self.row = {"epoch": self.current_epoch + 1, "lr": float(group["lr"]) / group.get("step_scale", 1.0)}
        self._train = Tally()

    def training_step(self, batch: Batch, step: int) -> Tensor:
        images, labels = batch
        logits = self.model(images)
        loss = self.recipe.training_loss(logits, labels, images)
        if self.teacher is not None:
            loss = self.teacher.loss(loss, logits, images)
        # Of a sequence of answers the last is the one that is asked for.
        self._train.add(loss, logits if logits.ndim == 2 else logits[..., -1], labels)
        if self._first is None:
            # Not of a resumed run, which may begin next to 0.
            self._first = self._sum(self._train).loss if self.current_epoch == 0 else math.inf
        if (step + 1) % CHECK_EVERY == 0:
            self._sum(self._train)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Norms as evaluation needs them. Processes know the statistics of their own parts only: it uses their mean."""
        self._validation = Tally()
        if count := self.recipe.norm_batches():
            with torch.autocast(self.device.type, enabled=False):
                reestimate(self.model, (images.to(self.device) for images, _ in islice(self.batches, count)))
        if self.trainer.world_size > 1:
            for buffer in self.model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.trainer.strategy.reduce(buffer.clone(), reduce_op="mean"))

    def validation_step(self, batch: Batch, step: int) -> None:
        images, labels = batch
        with torch.autocast(self.device.type, enabled=False):
            logits = self.model(images)
            self._validation.add(self.recipe.loss(logits, labels), logits, labels)

    def on_validation_epoch_end(self) -> None:
        train, validation = self._sum(self._train), self._sum(self._validation)
        self.row |= {
            "train_loss": train.loss,
            "train_error": train.error,
            "validation_loss": validation.loss,
            "validation_error": validation.error,
            **{f"validation_{name}": value for name, value in self.recipe.measures(validation.loss).items()},
        }
        # For callbacks such as EarlyStopping; loggers are given the whole row by `Metrics`.
        self.log_dict({name: value for name, value in self.row.items() if name != "epoch"}, logger=False)
        self._warn_of_runaway(train.loss)

    def _warn_of_runaway(self, loss: float) -> None:
        if not self._first or loss < RUNAWAY * self._first:
            return
        if self.trainer.is_global_zero:
            print(
                f"epoch {self.current_epoch + 1}: the mean training loss is {loss:.3g}; at the first step it was "
                f"{self._first:.3g}. The learning rate is too high (lr is {self.row['lr']:g}).",
                file=sys.stderr,
            )
        self._first = math.inf  # said once

    def _sum(self, tally: Tally) -> Scores:
        """Scores over all processes, which therefore agree on whether the loss is finite."""
        sums = tally.sums()
        if self.trainer.world_size > 1:
            mine = torch.tensor(sums, dtype=torch.float64, device=self.device)
            loss, wrong, images = self.trainer.strategy.reduce(mine, reduce_op="sum").tolist()
            sums = loss, wrong, images
        if not math.isfinite(sums[0]):
            step = self._train.images * self.trainer.world_size // self.batches.batch_size
            raise TrainingError(
                f"epoch {self.current_epoch + 1}, at or before step {step} of {len(self.batches)}: the loss is "
                f"no longer a finite number. Lower the learning rate (lr is {self.row['lr']:g}), or check the "
                "recipe's loss."
            )
        return scores(sums)


def _size(value: Any) -> str:
    return " × ".join(map(str, value.shape)) or "a number" if isinstance(value, Tensor) else type(value).__name__
