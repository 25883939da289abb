"""A run folder back into a recipe and a model."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from torch import nn

from binarynet import recipes
from binarynet.data import DataSet
from binarynet.errors import BinarynetError, RecipeError, TrainingError, takes
from binarynet.recipes import Recipe
from binarynet.train.checkpoint import read_best
from binarynet.train.folder import RunFolder
from binarynet.train.teacher import Teacher


@takes(out=(str | os.PathLike, "the path of a run folder"), recipe=(Recipe | None, "a Recipe, or None"))
def load_run(out: Path | str, recipe: Recipe | None = None) -> tuple[Recipe, nn.Module]:
    """The recipe of a run folder, and its model with the best epoch's weights so far, in evaluation mode.

    recipe: any instance of the run's class; needed for a class of your own, which `recipes.names()` does not
        know. The settings are those of the run in any case.
    `TrainingError` for a folder that holds no run, a run that has not finished an epoch, damaged files, a
    recipe that this version does not have.
    """
    folder = RunFolder(out)
    recipe = recipe_of(folder.read_config(), folder.config, recipe)
    return recipe, best_model(recipe, folder)


def recipe_of(config: dict[str, Any], file: Path, recipe: Recipe | None = None) -> Recipe:
    """The recipe that a config.json names, with its settings. recipe, file, errors as for `load_run`."""
    if recipe is None:
        try:
            recipe = recipes.get(config["recipe"])
        except RecipeError as error:
            raise TrainingError(
                f"{file}: this version has no recipe {config['recipe']!r} ({error}) If it is a class of your "
                "own, give an instance of it: load_run(out, recipe)."
            ) from None
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config["settings"].items()
    }
    try:
        return dataclasses.replace(recipe, **settings)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"{file}: the settings do not fit the recipe {config['recipe']} of this version: "
            f"{error}. Use the version that trained it."
        ) from None


def best_model(recipe: Recipe, folder: RunFolder) -> nn.Module:
    """The model of `recipe` with the weights of best.ckpt, in evaluation mode. Errors as for `load_run`."""
    state = read_best(folder.best)
    return built(recipe, folder.read_config(), state.get("model"), folder.config, folder.best)


def empty_model(recipe: Recipe, config: dict[str, Any], file: Path) -> nn.Module:
    """The model that the config in ``file`` describes, untrained. `TrainingError` where there is none."""
    data = config["data"]
    channels, height, width = data["shape"]
    try:
        return recipe.model((channels, height, width), len(data["classes"]))
    except (BinarynetError, TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise TrainingError(
            f"{file}: there is no model of these settings for {len(data['classes'])} classes of images of "
            f"{channels} × {height} × {width}: {error}. Restore it from a copy, or train again."
        ) from None


def built(recipe: Recipe, config: dict[str, Any], state: Any, file: Path, weights: Path) -> nn.Module:
    """`empty_model` with the state out of ``weights``, in evaluation mode. `TrainingError` where it is another's."""
    model = empty_model(recipe, config, file)
    try:
        model.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{weights} does not fit the model that {file} describes: {error}. Use the version that trained it."
        ) from None
    return model.eval()


def _best_of(role: str, run: str) -> RunFolder:
    """The run that a setting names. `TrainingError` where it has no best epoch."""
    folder = RunFolder(run)
    if not folder.best.is_file():
        raise TrainingError(
            f"{role}={run}: {folder.best} is not there. Name the folder of a run that has a best epoch."
        )
    return folder


def start_from(run: str, model: nn.Module) -> None:
    """Give ``model`` the best weights of a run folder; nothing for an empty name.

    `TrainingError` for a folder without a finished epoch, or weights of another network.
    """
    if not run:
        return
    file = _best_of("weights_from", run).best
    try:
        model.load_state_dict(read_best(file)["model"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(
            f"weights_from={run}: {file} holds another network ({reason[:200]}). Start from a run of the same layers."
        ) from None


def teacher_of(recipe: Recipe, data: DataSet) -> Teacher | None:
    """The teacher that the settings name, or None.

    `TrainingError` for a folder without a finished epoch, or a teacher of other images or other classes.
    """
    if not recipe.teacher:
        return None
    learnt = _best_of("teacher", recipe.teacher).read_config()["data"]
    found = f"{len(learnt['classes'])} classes of images of {'×'.join(map(str, learnt['shape']))}"
    if tuple(learnt["shape"]) != data.shape or tuple(learnt["classes"]) != tuple(data.classes):
        raise TrainingError(
            f"teacher={recipe.teacher}: it tells {found}, the data has {len(data.classes)} of "
            f"{'×'.join(map(str, data.shape))}, or they have other names. Take a teacher of the same classes."
        )
    return Teacher(recipe, load_run(recipe.teacher)[1])
