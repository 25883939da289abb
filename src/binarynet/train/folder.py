"""A run folder: what was asked for, what came out, and whether the one may go on to the other.

    config.json     recipe, settings, data, seed, precision, gradients; each start and resume in `sessions`
    metrics.csv     one row an epoch
    tensorboard/    the same for TensorBoard
    checkpoints/    last.ckpt, best.ckpt
    result.json     the best epoch, its validation error, the test error

Errors are in percent, epochs count from 1.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from binarynet import recipes
from binarynet.atomic import replacing
from binarynet.data import DataSet, names
from binarynet.errors import TrainingError, expect
from binarynet.recipes import Recipe


class RunFolder:
    """The paths of a run, and the rules by which a folder is taken into use."""

    def __init__(self, path: Path | str) -> None:
        expect("RunFolder: path", path, str | os.PathLike, "the path of a run folder")
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.result = self.path / "result.json"
        self.tensorboard = self.path / "tensorboard"
        self.last = self.path / "checkpoints" / "last.ckpt"
        self.best = self.path / "checkpoints" / "best.ckpt"
        self._held: int | None = None  # the folder, opened and locked

    @property
    def holds_a_run(self) -> bool:
        return self.config.exists() or self.last.exists() or self.best.exists()

    def begin(self, config: dict[str, Any], session: dict[str, Any], resume: bool, *, overwrite: bool = False) -> None:
        """Take the folder for a run of this `config`, new or resumed; note the `session`: machine, versions.

        No other process may begin in it before `close` or the end of this one. `TrainingError` where one has,
        where it holds another run (or this one, and neither `resume` nor `overwrite` is True), or none to resume.
        """
        sessions = []
        if resume:
            sessions = self._same(config)["sessions"]
            if self.result.exists():
                return
        elif self.holds_a_run and not overwrite:
            raise TrainingError(
                f"{self.path} already holds a run. Give --resume to go on with it, --overwrite to begin anew, or "
                "another --out."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
            if overwrite:
                self._clear()
            self.write(self.config, _json({**config, "sessions": [*sessions, session]}))
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be written to: {error}. Give another --out.") from None

    def _clear(self) -> None:
        """Take away what a run writes, and nothing else that may lie beside it."""
        for file in (self.result, self.last, self.best, self.metrics, self.config, self.path / "model.bnn"):
            file.unlink(missing_ok=True)
        for board in self.tensorboard.glob("events.out.tfevents.*"):
            board.unlink()

    def close(self) -> None:
        """Let other processes begin; nothing where this one holds nothing."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _hold(self) -> None:
        if self._held is not None:
            return
        self._held = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise TrainingError(
                f"{self.path} is in use by another process. Wait for it, or give another --out."
            ) from None
        except OSError:  # a file system without locks
            self.close()

    def _same(self, config: dict[str, Any]) -> dict[str, Any]:
        if not self.config.exists():
            raise TrainingError(f"{self.path} holds no run to resume. Leave out --resume, or correct --out.")
        found = self.read_config()
        changed = [
            f"{name} was {old}, now it is {new}" for name, old, new in differences(found, json.loads(_json(config)))
        ]
        if changed:
            raise TrainingError(
                f"{self.path} cannot go on with other settings: {'; '.join(changed)}. "
                "Resume it as it began, or give another --out for a new run."
            )
        return found

    def read_config(self, file: Path | None = None) -> dict[str, Any]:
        """What the run was asked for. `TrainingError` where it is missing or damaged, also by hand.

        file: another one than that of the folder, written by a run.
        """
        found = self._read(file or self.config, ("recipe", "settings", "data", "sessions"))
        wrong = [place for place, holds in _CONFIG.items() if not holds(_at(found, place))]
        if wrong:
            text = json.dumps(_at(found, wrong[0]))
            raise TrainingError(
                f"{self.config}: {wrong[0]} is {text[:80]}, which this package never wrote. Restore it from a copy, or "
                "train again."
            )
        return found

    def read_result(self) -> dict[str, Any]:
        numbers = ("best_epoch", "validation_error", "test_error", "train_seconds")
        found = self._read(self.result, numbers)
        for name in numbers:
            if not isinstance(found[name], int | float):
                raise TrainingError(f"{self.result}: {name} is {found[name]!r}, which is no number. Train again.")
        return found

    def write_result(self, result: dict[str, Any]) -> None:
        self.write(self.result, _json(result))

    @staticmethod
    def write(path: Path, text: str) -> None:
        """Write a file of the folder so that a kill leaves the old one or the new one.

        `TrainingError` where it cannot be written.
        """
        try:
            with replacing(path, path.with_name(path.name + ".part")) as part:
                part.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"{path} cannot be written: {error.strerror or error}. Make room.") from error

    @staticmethod
    def _read(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TrainingError(
                f"{path} does not exist: {path.parent} is no run folder, or its run has not finished."
            ) from None
        except ValueError as error:
            raise TrainingError(f"{path} is damaged: {error}. Restore it from a copy, or train again.") from None
        missing = [key for key in keys if not isinstance(found, dict) or key not in found]
        if missing:
            raise TrainingError(f"{path} lacks {', '.join(missing)}: it was not written by this package.")
        return found  # type: ignore[no-any-return]


def _digest(run: str, role: str) -> str | None:
    """The SHA-256 of the best weights of a run; None for no run."""
    if not run:
        return None
    path = RunFolder(run).best
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TrainingError(
            f"{role}: {path}: {error.strerror}. Name the folder of a run that has a best epoch."
        ) from None


def _is_shape(value: Any) -> bool:
    """channels, height, width."""
    whole = isinstance(value, list) and len(value) == 3 and all(type(size) is int and size > 0 for size in value)
    return whole and prod(value) < 2**31


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(text, str) for text in value)


_CONFIG: dict[str, Callable[[Any], bool]] = {
    "recipe": lambda value: isinstance(value, str),
    "settings": lambda value: isinstance(value, dict),
    "sessions": lambda value: isinstance(value, list),
    "data": lambda value: isinstance(value, dict),
    "data.name": lambda value: isinstance(value, str),
    "data.shape": _is_shape,
    "data.classes": _are_texts,
}


def _at(document: Any, place: str) -> Any:
    for key in place.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


READ = ("background", "resize", "tokens", "layout", "seed")


def how_read(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Of where data came from, how it was read and dealt to splits: what one must know to find the images again."""
    return {name: origin[name] for name in READ if origin.get(name)}


def describe(recipe: Recipe, data: DataSet, seed: int, precision: str, gradients: str) -> dict[str, Any]:
    """What decides the outcome of a run, for config.json: runs of equal descriptions are the same run."""
    digest = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        split.update(digest)
    settings = recipe.settings()
    if data.origin or recipe.data in names() or data.name in names():
        settings["data"] = data.name  # what it learns from, whatever the recipe names; a plug-in's keeps its own name
    return {
        "recipe": recipes.name_of(recipe),
        "settings": settings,
        "data": {
            "name": data.name,
            "shape": data.shape,
            "classes": data.classes,
            "images": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
            "sha256": digest.hexdigest(),
            **how_read(data.origin),
        },
        "seed": seed,
        "precision": precision,
        "gradients": gradients,
        "teacher": _digest(recipe.teacher, "teacher"),
        "weights_from": _digest(recipe.weights_from, "weights_from"),
    }


# What configs did not always say, and what it may be now for a run of before to go on.
_LATER: dict[str, tuple[Any, ...]] = {
    "gradients": ("float32", "bf16", "int8", *map(str, range(1, 9))),
    "gradient_clip": (0.0,),
    "teacher": ("", None),
    "teacher_share": (0.5,),
    "temperature": (4.0,),
    "weights_from": ("", None),
    "preprocessing": ("none",),
}


def differences(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Where two JSON values differ, by the innermost key's name; keys that only `old` has do not count.

    Nor do those that `old` lacks because they came later (`_LATER`), while they are at what they were before.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in new if key in old or key not in _LATER or new[key] not in _LATER[key]]
        return [found for key in keys for found in differences(old.get(key), new[key], key)]
    return [] if old == new else [(name, json.dumps(old), json.dumps(new))]


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
