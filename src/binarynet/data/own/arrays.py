"""Arrays in memory → a pile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.own.pile import Pile
from binarynet.data.own.values import Layout, Shape, arrangement, step_of, to_bytes
from binarynet.errors import DataError


def pile_of(images: Any, labels: Any, where: str, layout: Layout | None = None, shape: Shape | None = None) -> Pile:
    """Images of any usual layout and type, with a label each. `DataError` for what is none."""
    array, names = as_numbers(images, f"{where}: images"), np.asarray(labels)
    if names.ndim == 0 or len(names) != len(array):
        raise DataError(f"{where}: {len(array)} images and {names.size} labels; give one label an image")
    arrange = arrangement(array.shape, where, layout, shape)
    step = step_of(array.shape, array.itemsize)

    def pieces() -> Iterator[NDArray[Any]]:
        for start in range(0, len(array), step):
            yield array[start : start + step]

    convert = to_bytes(pieces, array.dtype, where)

    def read(rows: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(rows), step):
            yield convert(arrange(array[rows[start : start + step]]))

    return Pile(where, names, read)


def as_numbers(images: Any, where: str) -> NDArray[Any]:
    """An array (n, …) of numbers, of whatever numpy takes for one."""
    try:
        array = np.asarray(images)
    except Exception as error:  # of numpy, or of the object that should become an array
        raise DataError(f"{where} are no array: {' '.join(str(error).split())}") from None
    if array.ndim < 2 or array.dtype.kind not in "uif":
        raise DataError(f"{where} are of type {array.dtype} and shape {array.shape}; give (n, …) of uint8 or floats")
    return array
