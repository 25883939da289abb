"""What labels may be, and the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import DataError, closest

Labels = NDArray[np.int64]


def classes_of(raw: NDArray[Any], where: str) -> tuple[str, ...]:
    """The classes that labels name: texts in their order, whole numbers 0 … the largest as texts.

    Raises `DataError` for labels that are neither.
    """
    raw = plain(raw, where)
    if raw.dtype.kind == "U":
        return tuple(map(str, np.unique(raw)))
    highest = int(raw.max(initial=0))
    if highest >= len(raw):
        at = int(raw.argmax())
        raise DataError(
            f"{where}: label {highest} at index {at}, of {len(raw)} images: classes are numbered from 0 on, and each "
            "has images. Number them anew, or give their names."
        )
    return tuple(map(str, range(highest + 1)))


def numbered(raw: NDArray[Any], classes: Sequence[str], where: str) -> Labels:
    """Labels → (n,) int64, places in ``classes``: a text by its name, a whole number as it is.

    Raises `DataError`, naming the first label that is no class.
    """
    raw = plain(raw, where)
    if raw.dtype.kind == "U":
        place = {name: index for index, name in enumerate(classes)}
        known, inverse = np.unique(raw, return_inverse=True)
        for text in known:
            if str(text) not in place:
                at = int(np.flatnonzero(raw == text)[0])
                raise DataError(
                    f"{where}: label {str(text)!r} at index {at} is no class.{closest(str(text), classes)} "
                    f"There are {_listed(classes)}."
                )
        return np.array([place[str(text)] for text in known], np.int64)[inverse]
    outside = np.flatnonzero((raw < 0) | (raw >= len(classes)))
    if len(outside):
        first = int(outside[0])
        raise DataError(
            f"{where}: label {raw[first]} at index {first} is outside 0..{len(classes) - 1} "
            f"({len(outside)} such labels)"
        )
    return raw.astype(np.int64)


def plain(raw: NDArray[Any], where: str) -> NDArray[Any]:
    """Labels as (n,) texts or whole numbers. `DataError` for other shapes and types."""
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    if raw.ndim != 1:
        shape = "×".join(map(str, raw.shape))
        raise DataError(f"{where}: labels are an array of {shape}; one number or name an image is needed, not vectors")
    if raw.dtype.kind == "S":
        raw = np.char.decode(raw, "utf-8", "backslashreplace")
    if raw.dtype.kind in "bui":
        return raw.astype(np.int64)
    if raw.dtype.kind == "f" and np.isfinite(raw).all() and (raw == np.rint(raw)).all():
        return raw.astype(np.int64)
    if raw.dtype.kind == "U":
        return raw
    raise DataError(f"{where}: labels are of type {raw.dtype}; give whole numbers from 0 on, or texts")


def check_names(classes: Sequence[str], where: str) -> tuple[str, ...]:
    """The names, if they are at least two, differ, and can be printed. `DataError` otherwise."""
    for name in classes:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise DataError(f"{where}: {name!r} cannot be the name of a class: give it printable characters")
    if len(set(classes)) != len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise DataError(f"{where}: two classes are called {twice!r}")
    if len(classes) < 2:
        raise DataError(f"{where}: there is {_listed(classes)} alone; to tell apart, two classes are needed")
    return tuple(classes)


def _listed(classes: Sequence[str]) -> str:
    shown = ", ".join(repr(str(name)) for name in classes[:8])
    return f"{shown} and {len(classes) - 8} more" if len(classes) > 8 else shown or "no class"
