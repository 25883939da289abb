"""What is refused before a run writes anything: no step, no choice of an epoch, or no test would be possible."""

from __future__ import annotations

from typing import Any

import torch

from binarynet import recipes
from binarynet.data import DataSet, Pictures
from binarynet.errors import TrainingError, closest
from binarynet.nn import Whitening
from binarynet.recipes import Recipe
from binarynet.train.load import start_from, teacher_of
from binarynet.train.loader import TrainingBatches

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed"}  # by their names here, and by Lightning's
MOST_THREADS = 4096  # of one process; torch takes any number that fits 32 bits, and then fails to start them


def check(recipe: Recipe, data: DataSet, seed: int, precision: str, world: int, threads: int | None) -> None:
    """Refuse what cannot work before anything is written."""
    if precision not in PRECISIONS:
        raise TrainingError(f"precision {precision!r} is not known.{closest(precision, PRECISIONS)} Choose 32 or bf16.")
    if not 0 <= seed < 2**32:
        raise TrainingError(f"seed {seed} is not in 0..2^32-1.")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise TrainingError(f"threads={threads}: 1 to {MOST_THREADS} are possible.")
    if not any(recipe.selectable(epoch) for epoch in range(recipe.epochs)):
        raise TrainingError(f"epochs={recipe.epochs}: the recipe lets none of them be chosen as the best. Give more.")
    if len(data.validation) < world or not len(data.test):
        raise TrainingError(
            f"{data.name} has {len(data.validation)} validation and {len(data.test)} test images; to choose an "
            f"epoch and to judge it, {world} and 1 are needed."
        )
    if isinstance(data.train.images, Pictures) and (
        type(recipe).augment is not Recipe.augment or getattr(recipe, "augmented", False)
    ):
        raise TrainingError(
            f"{recipes.name_of(recipe)} changes its training images (`augment`), and {data.name} stays on disk, where "
            "only its `Crops` change them. Let `reading` say how they are cut, and leave `augment` out."
        )
    TrainingBatches(data.train, recipe.batch_size, seed=seed, world=world)
    teacher_of(recipe, data)
    _try_forward(recipe, data, recipe.batch_size // world)


def _try_forward(recipe: Recipe, data: DataSet, batch: int) -> None:
    """The first pass of a training step, on two images (one, if a batch has no more)."""
    model = recipe.model(data.shape, len(data.classes))
    start_from(recipe.weights_from, model)
    for module in model.modules():
        if isinstance(module, Whitening):  # what `prepare` is about to fill, from all images
            module.fill(torch.zeros(module.features), torch.eye(module.features))
    recipe.begin_epoch(model, 0)
    images, labels = data.train.images[: min(batch, 2)], data.train.labels[: min(batch, 2)]
    try:
        shown = torch.from_numpy(images)
        recipe.training_loss(model(shown), torch.from_numpy(labels), shown)
    except (RuntimeError, ValueError) as error:
        reason, *_ = str(error).split("\n")
        channels, height, width = data.shape
        raise TrainingError(
            f"{recipes.name_of(recipe)} cannot take a step on {batch} image{'s' * (batch > 1)} of {channels} × "
            f"{height} × {width}: {reason}. Try other settings or other data."
        ) from error
