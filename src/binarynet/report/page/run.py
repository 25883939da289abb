"""What a run folder says of a run, read without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binarynet.errors import InputError
from binarynet.plot.history import Rows, read_metrics


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
    return Run(folder, _read(folder / "config.json"), _read(folder / "result.json"), rows)


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
