"""What is written down after every epoch: movement of the latent weights, metrics.csv, TensorBoard."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from binarynet.nn import latent_weights
from binarynet.train.folder import RunFolder
from binarynet.train.module import RecipeModule


class LatentWeightMovement(Callback):
    """Adds to the epoch's row how many ±1 weights still change, and how many latent weights are at their limit.

    `flip_ratio`: share of the latent weights whose sign at the end of the epoch is not that at the end of the
    epoch before (for the first: that of the initial weights). `saturated`: share of those that the optimizer
    clips with |weight| = clip. Both over all layers, and for each as `flip_ratio/<layer>`, `saturated/<layer>`.
    Signs are kept at one byte a weight and looked at once an epoch; training steps pay nothing.
    """

    def __init__(self) -> None:
        self._signs: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        # Also right after a resume: the weights of the checkpoint are those of the epoch before.
        self._signs = {name: weight.detach() >= 0 for name, weight in _latent(module.model)}

    def on_train_epoch_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        clips = _clips(trainer.optimizers[0])
        flips: dict[str, tuple[int, int]] = {}
        saturated: dict[str, tuple[int, int]] = {}
        for name, weight in _latent(module.model):
            signs = weight.detach() >= 0
            flips[name] = int((signs != self._signs[name]).sum()), weight.numel()
            self._signs[name] = signs
            if (clip := clips.get(weight)) is not None:
                saturated[name] = int((weight.detach().abs() >= clip).sum()), weight.numel()
        module.row |= _shares("flip_ratio", flips) | _shares("saturated", saturated)


def _latent(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, _, weight in latent_weights(model)]


def _clips(optimizer: Optimizer) -> dict[Tensor, float]:
    """The limit of every latent weight that has one; `optim.latent_optimizer` notes it in the groups."""
    return {
        weight: group["clip"]
        for group in optimizer.param_groups
        if group.get("clip") is not None
        for weight in group["params"]
    }


def _shares(what: str, counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """Counted / size over all layers, then for each; nothing where there are no layers."""
    if not counts:
        return {}
    total = sum(count for count, _ in counts.values()) / sum(size for _, size in counts.values())
    return {what: total} | {f"{what}/{name}": count / size for name, (count, size) in counts.items()}


class Metrics(Callback):
    """One row an epoch to metrics.csv and TensorBoard; the rows go into the checkpoint and come back from it.

    metrics.csv is written anew from the rows each time, so that after a kill and a resume it holds every
    epoch once. `seconds` is the wall time of the epoch with its validation.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        self._started = 0.0
        self._board: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            from torch.utils.tensorboard import SummaryWriter  # a second to import, and only here

            self._board = SummaryWriter(str(self.folder.tensorboard), purge_step=len(self.rows) + 1)
            for logger in trainer.loggers:
                logger.log_hyperparams(module.recipe.settings())

    def on_train_epoch_start(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, module: RecipeModule) -> None:  # type: ignore[override]
        row = dict(module.row, seconds=time.perf_counter() - self._started)
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        self.folder.write(self.folder.metrics, as_csv(self.rows))
        named = {name: value for name, value in row.items() if name != "epoch"}
        for name, value in named.items():
            self._board.add_scalar(name, value, int(row["epoch"]))
        self._board.flush()
        for logger in trainer.loggers:
            logger.log_metrics(named, step=int(row["epoch"]))

    def on_exception(self, trainer: Trainer, module: RecipeModule, exception: BaseException) -> None:  # type: ignore[override]
        self._close()

    def teardown(self, trainer: Trainer, module: RecipeModule, stage: str) -> None:  # type: ignore[override]
        self._close()

    def _close(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None


def as_csv(rows: list[dict[str, float]]) -> str:
    """The rows under one header; the columns are those of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    return text.getvalue()
