"""Several named answers: they stand one behind the other in the one vector that a graph answers, so engines see one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOGITS = "logits"  # what the one answer of a graph is called, and the first of several that have no names


@dataclass(frozen=True)
class Output:
    """One of several answers, of ``shape`` (features,) or (height, width, channels)."""

    name: str
    shape: tuple[int, ...]


def named(names: tuple[str | int, ...]) -> str:
    """What an answer is called by the way to it: keys of dicts, places in lists. The first place is `LOGITS`."""
    if len(names) == 1 and isinstance(names[0], int):
        return f"output{names[0] + 1}" if names[0] else LOGITS
    return ".".join(map(str, names)) or LOGITS


def classes(outputs: Sequence[Output], answers: NDArray[Any]) -> NDArray[np.int64]:
    """(n,): where the first of ``answers`` (n, …) is largest, the first of equals."""
    first = next(iter(apart(outputs, answers).values()))
    found: NDArray[np.int64] = first.reshape(len(first), -1).argmax(axis=1)
    return found


def apart(outputs: Sequence[Output], answers: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Name → (n, *shape) of each output, views of a graph's ``answers`` (n, …); of one answer, `LOGITS`."""
    if not outputs:
        return {LOGITS: answers}
    cuts = list(accumulate(prod(one.shape) for one in outputs))[:-1]
    parts = np.split(answers, cuts, axis=1)
    return {one.name: part.reshape(len(answers), *one.shape) for one, part in zip(outputs, parts, strict=True)}
