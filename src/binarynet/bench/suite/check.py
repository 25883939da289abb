"""A run of the suite against an earlier one on the same kind of processor: which ratios have become worse.

Times of two days do not compare, ratios measured within each run do: to torch, to the fastest exact library, to the
limit. The limit counts only where both runs measured the same units.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binarynet.errors import DataError, InputError

WORSE = 0.10  # of a ratio
_RATIOS = {
    "ratio_to_torch_float32": "× torch float32",
    "ratio_to_fastest_exact": "× the fastest exact library",
    "share_of_limit": "of the limit",
}


@dataclass(frozen=True)
class Regression:
    """A ratio that fell by more than `WORSE`."""

    work: str
    threads: int
    ratio: str
    before: float
    now: float

    def __str__(self) -> str:
        return (
            f"{self.work}, {self.threads} thread{'s' * (self.threads > 1)}: {self.now:.3g} {self.ratio}, "
            f"{self.before:.3g} before ({100 * (self.now / self.before - 1):.0f} %)"
        )


def last(folder: Path, kind: str) -> Path:
    """The youngest ``<date>-<kind>.json`` of a folder; a kind is processor and instruction set, as runs are named.

    Raises:
        InputError: there is none.
    """
    found = sorted(path for path in folder.glob(f"*-{kind}.json") if path.name[10:] == f"-{kind}.json")
    if not found:
        raise InputError(f"{folder} holds no run of {kind}; `binarynet bench suite --out {folder}` makes one")
    return found[-1]


def read(path: Path) -> dict[str, Any]:
    """A kept run.

    Raises:
        DataError: it is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        for row in document["summary"]:
            _ = row["work"], row["threads"]
        _ = [set(roof["macs"]) for roof in document["roofs"]], document["setting"]["began"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a run of `binarynet bench suite` ({type(error).__name__}: {error})") from None
    found: dict[str, Any] = document
    return found


def regressions(now: dict[str, Any], before: dict[str, Any]) -> tuple[list[Regression], int]:
    """The ratios that became worse, worst first, and how many were compared."""
    known = {(row["work"], row["threads"]): row for row in before["summary"]}
    same_units = {frozenset(roof["macs"]) for roof in now["roofs"]} == {frozenset(r["macs"]) for r in before["roofs"]}
    found, compared = [], 0
    for row in now["summary"]:
        old = known.get((row["work"], row["threads"]), {})
        for name, words in _RATIOS.items():
            if name == "share_of_limit" and not same_units:
                continue
            # The fastest library of one run may be missing in the other.
            if name == "ratio_to_fastest_exact" and row.get("fastest_exact") != old.get("fastest_exact"):
                continue
            if not row.get(name) or not old.get(name):
                continue
            compared += 1
            if row[name] < (1 - WORSE) * old[name]:
                found.append(Regression(row["work"], row["threads"], words, old[name], row[name]))
    return sorted(found, key=lambda one: one.now / one.before), compared
