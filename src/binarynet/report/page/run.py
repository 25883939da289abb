"""What a run folder says of a run, read without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binarynet.errors import InputError
from binarynet.plot.history import Rows, read_metrics

_NUMBERS = ("best_epoch", "validation_error", "test_error", "train_seconds")


@dataclass(frozen=True)
class Run:
    """config: what was asked for. result: what came out, empty while it trains. rows: metrics.csv, one an epoch."""

    folder: Path
    config: dict[str, Any]
    result: dict[str, Any]
    rows: Rows


def read_run(folder: Path) -> Run | None:
    """The run of a folder; None where none is. `InputError` for damaged files."""
    if not (folder / "config.json").is_file():
        return None
    metrics = folder / "metrics.csv"
    rows = read_metrics(metrics) if metrics.is_file() else []
    config, result = _read(folder / "config.json"), _read(folder / "result.json")
    if not isinstance(config.get("settings"), dict) or not isinstance(config.get("recipe"), str):
        raise InputError(f"{folder / 'config.json'} was not written by a run: it lacks recipe or settings")
    wrong = [name for name in _NUMBERS if not isinstance(result.get(name, 0), int | float)]
    if wrong or (result and not all(name in result for name in _NUMBERS)):
        raise InputError(f"{folder / 'result.json'} was not written by a run: {', '.join(_NUMBERS)} are its numbers")
    return Run(folder, config, result, rows)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} was not written by a run")
    return found
