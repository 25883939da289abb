"""`fit`: a recipe and a data set in, a trained network and a run folder out."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from binarynet.data import DataSet
from binarynet.errors import TrainingError, takes
from binarynet.nn import native
from binarynet.recipes import Recipe
from binarynet.train import console, processes
from binarynet.train.callbacks import LatentWeightMovement, Metrics
from binarynet.train.check import PRECISIONS, check
from binarynet.train.checkpoint import read_best
from binarynet.train.evaluate import EVALUATION_BATCH, evaluate
from binarynet.train.folder import RunFolder, describe
from binarynet.train.interrupt import interruptible
from binarynet.train.keeping import AtomicCheckpointIO, Checkpoints, Evaluated
from binarynet.train.load import best_model, start_from, teacher_of
from binarynet.train.loader import EvaluationBatches, TrainingBatches
from binarynet.train.memory import keep_freed
from binarynet.train.module import RecipeModule
from binarynet.train.waiting import sleeping


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run has reached.

    best_epoch: the epoch (from 1) with the lowest validation error, of equal ones the latest.
    validation_error, test_error: of its weights, in percent; the test images are looked at once, at the end.
    test_loss: the mean of the recipe's loss over them.
    train_seconds: wall time of all epochs with their validations, over all sessions.
    model: the network with these weights, on the CPU, in evaluation mode.
    """

    best_epoch: int
    validation_error: float
    test_error: float
    test_loss: float
    train_seconds: float
    model: nn.Module = dataclasses.field(repr=False)

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        rows = {
            "best epoch": str(self.best_epoch),
            "validation error": f"{self.validation_error:.2f} %",
            "test error": f"{self.test_error:.2f} %",
            "training time": f"{self.train_seconds:,.0f} s",
        }
        return f"<table>{''.join(f'<tr><th>{name}</th><td>{text}</td></tr>' for name, text in rows.items())}</table>"


class _Plan(NamedTuple):
    """What a process must know to take part in a run."""

    recipe: Recipe
    data: DataSet
    folder: RunFolder
    config: dict[str, Any]
    resume: bool
    devices: int
    nodes: int
    accelerator: str
    progress: bool
    threads: int
    overwrite: bool
    callbacks: Sequence[Callback]
    loggers: Sequence[Logger]


@takes(
    recipe=(Recipe, 'a Recipe, such as binarynet.recipes.get("bnn-digits")'),
    data=(DataSet, 'a DataSet, such as binarynet.data.load("digits")'),
    out=(str | os.PathLike, "the path of the run folder to make"),
    seed=(int, "a whole number"),
    threads=(int | None, "a whole number, or None"),
    callbacks=(Sequence, "a list of Lightning's callbacks"),
    logger=(Logger | Sequence | None, "a logger of Lightning, or a list of them"),
    devices=(int, "a whole number"),
    nodes=(int, "a whole number"),
)
def fit(
    recipe: Recipe,
    data: DataSet,
    out: Path | str,
    *,
    seed: int = 0,
    resume: bool = False,
    exist: Literal["error", "resume", "overwrite"] = "error",
    callbacks: Sequence[Callback] = (),
    logger: Logger | Sequence[Logger] | None = None,
    precision: Literal["32", "bf16"] = "32",
    gradients: str | None = None,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    progress: bool = True,
    threads: int | None = None,
) -> Result:
    """Train `recipe` on `data` into the run folder `out`, and report the test error of the best epoch.

    seed: decides the initial weights, the order of the images and all other random numbers. Same seed, same
        machine, same number of threads and processes: same weights, to the bit (on the CPU).
    resume: go on after the last full epoch of `out`, to the weights that no interruption would have given. A
        finished run is not trained again. An error where there is no run.
    exist: what to do where `out` holds a run: "error"; "resume", as above; "overwrite", which takes away what that run
        wrote. Where it holds none, a new one begins.
    callbacks: Lightning's, or your own; they see `RecipeModule`. `EarlyStopping("validation_error")` and
        `EMAWeightAveraging()` keep their state in the checkpoint, so that a resumed run stays exact; with averaged
        weights, those are what is validated, chosen and kept.
    logger: of Lightning: `CSVLogger`, `WandbLogger`, `MLFlowLogger` …; each is given the row of every epoch and the
        settings. metrics.csv and TensorBoard are written in any case.
    precision: "bf16" computes the training steps under bfloat16 autocast; evaluation is always in float32.
    gradients: how they enter the products of binary layers on a CPU: float32, bf16, int8, or 1 to 8 bits
        (docs/training.md). None: as `BINARYNET_GRADIENTS` says, else the quickest that leaves curves as they are.
    devices, nodes: processes on each machine, and machines. The recipe's batch size is that of all together.
        Under torchrun leave both at 1.
    accelerator: "auto", "cpu", "gpu", as Lightning names them.
    progress: a bar on stderr if that is a terminal, else a line an epoch.
    threads: of torch, in each process. None: as many as torch would take, shared among the processes.

    Under torchrun every process calls this and gets the result; `is_main_process()` says which may speak.

    Raises `TrainingError` for a folder in use, settings that do not fit, a loss that is not finite;
    `RecipeError` for a batch size that does not fit; `Interrupted` after Ctrl-C or SIGTERM.
    """
    devices, nodes = processes.layout(devices, nodes)
    if gradients is not None:
        native.checked_gradients(gradients, "gradients")
    check(recipe, data, seed, precision, devices * nodes, threads)
    folder = RunFolder(out)
    if exist not in ("error", "resume", "overwrite"):
        raise TrainingError(f"exist={exist!r} is not known. Choose error, resume or overwrite.")
    if resume and exist == "overwrite":
        raise TrainingError("resume=True goes on with a run, exist='overwrite' takes it away. Give one of them.")
    loggers = [] if logger is None else [logger] if isinstance(logger, Logger) else list(logger)
    plan = _Plan(
        recipe,
        data,
        folder,
        describe(recipe, data, seed, precision, gradients or native.gradients()),
        resume or (exist == "resume" and folder.holds_a_run),
        devices,
        nodes,
        accelerator,
        progress,
        processes.threads_each(threads, devices),
        exist == "overwrite",
        tuple(callbacks),
        tuple(loggers),
    )
    with interruptible(folder), closing(folder):
        if devices * nodes == 1 or processes.started_elsewhere():
            _train(plan)
        else:
            _train_in_new_processes(plan)
    found, model = folder.read_result(), best_model(recipe, folder)
    names = ("best_epoch", "validation_error", "test_error", "train_seconds")
    # Whoever writes a result of their own may leave the loss out.
    return Result(**{name: found[name] for name in names}, test_loss=found.get("test_loss", math.nan), model=model)


def _train_in_new_processes(plan: _Plan) -> None:
    if int(os.environ.get("NODE_RANK", 0)) == 0:
        _begin(plan)
    if plan.resume and plan.folder.result.exists():
        return
    processes.launch(_train, (plan, False), plan.devices)
    if not plan.folder.result.exists():
        raise KeyboardInterrupt  # it reached the processes, which end quietly on it, and not us


def _train(plan: _Plan, begin: bool = True) -> None:
    """What one process does: all of a run, or one rank of it."""
    keep_freed()
    recipe, data, folder, seed = plan.recipe, plan.data, plan.folder, plan.config["seed"]
    with console.quiet(), sleeping(), native.rounded_as(plan.config["gradients"]):
        torch.set_num_threads(plan.threads)
        metrics = Metrics(folder)
        trainer = _trainer(plan, metrics)
        if begin and trainer.is_global_zero:
            _begin(plan)
        if plan.resume and folder.result.exists():
            return
        rank, world = trainer.global_rank, trainer.world_size
        batches = TrainingBatches(
            data.train, recipe.batch_size, seed=seed, augment=recipe.augment, rank=rank, world=world
        )
        torch.manual_seed(seed)
        model = recipe.model(data.shape, len(data.classes))
        checkpoint = folder.last if plan.resume and folder.last.exists() else None
        if checkpoint is None:
            recipe.prepare(model, data.train.images)
            start_from(recipe.weights_from, model)
        module = RecipeModule(recipe, model, batches, seed, teacher_of(recipe, data))
        trainer.fit(
            module,
            batches,
            EvaluationBatches(data.validation, EVALUATION_BATCH, rank=rank, world=world),
            ckpt_path=checkpoint,
            weights_only=True,
        )
        if trainer.is_global_zero:
            _report(plan, metrics.rows, trainer.strategy.root_device)
        trainer.strategy.barrier()  # torchrun's other processes read the result, too


def _trainer(plan: _Plan, metrics: Metrics) -> Trainer:
    strategy: Any = "auto"
    if plan.devices * plan.nodes > 1:
        strategy = DDPStrategy(broadcast_buffers=False)  # `RecipeModule` averages them, once an epoch
    shown = [console.reporter()] if plan.progress else []
    evaluated = Evaluated()
    ours: list[Callback] = [LatentWeightMovement(), metrics, Checkpoints(plan.folder, evaluated)]
    try:
        return Trainer(
            accelerator=plan.accelerator,
            devices=plan.devices,
            num_nodes=plan.nodes,
            strategy=strategy,
            precision=PRECISIONS[plan.config["precision"]],
            max_epochs=plan.recipe.epochs,
            callbacks=[evaluated, *ours, *shown, *plan.callbacks],
            plugins=[AtomicCheckpointIO()],
            default_root_dir=plan.folder.path,
            logger=list(plan.loggers) or False,
            gradient_clip_val=plan.recipe.gradient_clip or None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise TrainingError(f"accelerator={plan.accelerator}, devices={plan.devices}: {error}") from None


def _begin(plan: _Plan) -> None:
    session = {
        "versions": {name: _version(name) for name in ("binarynet", "torch", "lightning", "numpy")},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "accelerator": plan.accelerator,
        "devices": plan.devices,
        "nodes": plan.nodes,
        "threads": plan.threads,
    }
    if path := plan.data.origin.get("path"):
        session["data"] = path  # where to find it again; what it holds, the config says
    plan.folder.begin(plan.config, session, plan.resume, overwrite=plan.overwrite)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _report(plan: _Plan, rows: list[dict[str, float]], device: torch.device) -> None:
    """Show the best weights the test images, once, and write result.json."""
    best = read_best(plan.folder.best, mmap=True)
    test = evaluate(best_model(plan.recipe, plan.folder), plan.data.test, plan.recipe.loss, device=device)
    plan.folder.write_result(
        {
            "recipe": plan.config["recipe"],
            "data": plan.data.name,
            "seed": plan.config["seed"],
            "epochs": len(rows),
            "best_epoch": best["epoch"],
            "validation_error": best["validation_error"],
            "test_error": test.error,
            "test_loss": test.loss,
            **{f"test_{name}": value for name, value in plan.recipe.measures(test.loss).items()},
            "test_images": test.images,
            "train_seconds": sum(row["seconds"] for row in rows),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        }
    )
