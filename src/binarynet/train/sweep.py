"""A search over settings: many short runs of a recipe, the best by validation error; Optuna proposes them.

A range is ``low..high`` (real, or whole numbers if both are), on a logarithmic scale if it spans a factor of 10 or more
above 0; ``a|b|c`` is a choice. The study is a file, so that a sweep that was stopped goes on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from binarynet.data import DataSet
from binarynet.errors import RuntimeUnavailable, TrainingError
from binarynet.nn import native
from binarynet.recipes import Recipe
from binarynet.train.folder import describe, differences
from binarynet.train.training import fit

_RANGE = re.compile(r"(-?[\d.]+(?:e-?\d+)?)\.\.(-?[\d.]+(?:e-?\d+)?)", re.IGNORECASE)
Suggest = Callable[[Any, str], str]  # (trial, name) → the setting's text


@dataclass(frozen=True)
class Trial:
    """One run: its number, the settings that were tried, the lowest validation error in percent, its folder."""

    number: int
    settings: dict[str, str]
    validation_error: float
    folder: Path


def sweep(
    recipe: Recipe,
    data: DataSet,
    out: Path | str,
    searched: Mapping[str, str],
    *,
    trials: int = 20,
    seed: int = 0,
    say: Callable[[Trial], None] | None = None,
    **how: Any,
) -> list[Trial]:
    """Train ``trials`` runs below ``out``, with what is ``searched`` (setting → range or choice) set anew in each.

    A run whose validation error is above the median of those before it, at the same epoch, ends early. The test images
    decide nothing. how: as `fit` has it. Returns all finished trials, the best first.

    Raises `TrainingError` for a range that is none, and where ``out`` holds a study of something else, whose trials do
    not compare; `RecipeError` for a setting that does not exist; `RuntimeUnavailable` where Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise RuntimeUnavailable("a sweep needs optuna: pip install 'binarynet[sweep]'") from error
    suggest = {name: suggestion(name, text) for name, text in searched.items()}
    if not suggest:
        raise TrainingError(
            "nothing to search: give a setting a range, lr_start=1e-4..1e-2, or a choice, width=256|512"
        )
    if "data" in searched:
        raise TrainingError(f"data={searched['data']}: one set is loaded for all trials. Sweep over each by itself.")
    asked = _asked(recipe, data, searched, seed, how)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    root = Path(out)
    root.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=root.name,
        storage=f"sqlite:///{(root / 'study.db').resolve()}",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
        load_if_exists=True,
    )
    if before := study.user_attrs.get("asked"):
        if found := [f"{name} was {old}, now it is {new}" for name, old, new in differences(before, asked)]:
            raise TrainingError(f"{root} holds a study that cannot go on: {'; '.join(found)}. Give another --out.")
    else:
        study.set_user_attr("asked", asked)
    # Another stream for those that come after a stop: the first one would propose what was tried.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))

    def run(trial: Any) -> float:
        settings = {name: choose(trial, name) for name, choose in suggest.items()}
        folder = root / f"trial-{trial.number:03}"
        pruned = _Prune(trial)
        result = fit(
            recipe.with_settings(settings), data, folder, seed=seed, exist="overwrite", callbacks=[pruned], **how
        )
        trial.set_user_attr("settings", settings)
        if say is not None:
            say(Trial(trial.number, settings, result.validation_error, folder))
        return result.validation_error

    left = trials - sum(one.value is not None for one in study.trials)  # what was stopped is none of them
    if left > 0:
        study.optimize(run, n_trials=left)
    finished = [
        Trial(one.number, one.user_attrs["settings"], one.value, root / f"trial-{one.number:03}")
        for one in study.trials
        if one.value is not None and "settings" in one.user_attrs
    ]
    return sorted(finished, key=lambda trial: trial.validation_error)


def _asked(
    recipe: Recipe, data: DataSet, searched: Mapping[str, str], seed: int, how: Mapping[str, Any]
) -> dict[str, Any]:
    """What all trials of a study have in common, and what is searched."""
    gradients = how.get("gradients") or native.gradients()
    run = describe(recipe, data, seed, how.get("precision", "32"), gradients)
    settings = {name: value for name, value in run["settings"].items() if name not in searched}
    found: dict[str, Any] = json.loads(json.dumps({**run, "settings": settings, "searched": dict(searched)}))
    return found


class _Prune(Callback):
    """Stops a run that falls behind the others; its best epoch so far still counts."""

    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        if module.recipe.selectable(int(module.row["epoch"]) - 1):
            self.trial.report(module.row["validation_error"], int(module.row["epoch"]))
            trainer.should_stop = trainer.should_stop or self.trial.should_prune()


def is_searched(text: str) -> bool:
    """Whether the text of a setting is a range or a choice."""
    return "|" in text or ".." in text


def suggestion(name: str, text: str) -> Suggest:
    """How a trial sets one setting. `TrainingError` for a text that is no range and no choice."""
    if "|" in text:
        choices = [part.strip() for part in text.split("|")]
        if not all(choices) or len(set(choices)) != len(choices):
            raise TrainingError(f"{name}={text}: a choice is several different values, such as 256|512")
        return lambda trial, name: str(trial.suggest_categorical(name, choices))
    found = _RANGE.fullmatch(text)
    try:
        low, high = (float(part) for part in found.groups()) if found else (1.0, 0.0)
    except ValueError:
        low, high = 1.0, 0.0
    if not found or not low < high or not math.isfinite(high):
        raise TrainingError(f"{name}={text}: write a range as low..high, such as 1e-4..1e-2, or a choice as a|b")
    log = low > 0 and high / low >= 10
    if all(re.fullmatch(r"-?\d+", part) for part in found.groups()):
        return lambda trial, name: str(trial.suggest_int(name, int(low), int(high), log=log))
    return lambda trial, name: repr(trial.suggest_float(name, low, high, log=log))
