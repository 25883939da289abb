"""Any object with a length that gives (image, label) by number, as map-style data sets of PyTorch do → a pile.

An image is a Pillow picture, or an array or tensor: uint8, or reals. Reals are intensities in [0, 1], as torchvision's
``ToTensor`` makes them. Each item is asked for once, the first twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.own.pile import Bytes, Pile
from binarynet.data.own.values import arrangement
from binarynet.errors import DataError
from binarynet.pixels import either


def pile_of_items(items: Any, where: str) -> Pile:
    """All items, read now: their labels are not known before. `DataError`, naming the first that does not fit."""
    try:
        count = len(items)
        shape = np.asarray(items[0][0]).shape
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"{where}: needed is an object with a length that gives (image, label): {error}") from None
    arrange = arrangement((count, *shape), where, None, None)
    images: Bytes = np.empty(0, np.uint8)
    labels: list[Any] = []
    grey_levels = False  # whether an intensity other than 0 and 1 was seen
    reals = False
    for index in range(count):
        image, label = items[index]
        array = np.asarray(image)
        if array.shape != shape:
            raise DataError(f"{where}: image {index} is of shape {array.shape}, the first of {shape}")
        pixels, between = _as_bytes(array, f"{where}: image {index}")
        reals, grey_levels = reals or array.dtype.kind == "f", grey_levels or between
        one = arrange(pixels[None])
        if not images.size:
            images = np.empty((count, *one.shape[1:]), np.uint8)
        images[index] = one[0]
        labels.append(np.asarray(label).item() if not isinstance(label, str) else label)
    if reals and not grey_levels:
        raise DataError(f"{where}: {either()}")

    def read(rows: NDArray[np.intp]) -> Any:
        for start in range(0, len(rows), 1024):
            yield images[rows[start : start + 1024]]

    return Pile(where, np.array(labels), read)


def _as_bytes(array: NDArray[Any], where: str) -> tuple[Bytes, bool]:
    """Bytes, and whether one of the reals is neither 0 nor 1."""
    if array.dtype == np.uint8:
        return array, False
    if array.dtype.kind != "f" or not array.size or not (array.min() >= 0 and array.max() <= 1):
        found = (
            f"{array.dtype} from {array.min()} to {array.max()}"
            if array.size and array.dtype.kind in "uif"
            else array.dtype
        )
        raise DataError(f"{where} is {found}; give uint8, a picture, or intensities in [0, 1] (leave Normalize out)")
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8), bool(((array > 0) & (array < 1)).any())
