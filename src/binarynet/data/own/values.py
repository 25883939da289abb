"""An array of images of any usual layout and type → bytes (n, channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import DataError
from binarynet.pixels import TAKEN, either, meaning

Layout = Literal["nchw", "nhwc"]
Shape = tuple[int, int, int]  # channels, height, width
Array = NDArray[Any]
PIECE = 4 << 20  # bytes of an array that are looked at in one go
Pieces = Callable[[], Iterator[Array]]


def arrangement(
    shape: tuple[int, ...], where: str, layout: Layout | None, wanted: Shape | None
) -> Callable[[Array], Array]:
    """How an array of this whole shape (n, …) becomes (n, channels, height, width): a function for pieces of it.

    Flat images are ``wanted``, or a grey square, or one row. Raises `DataError` for what is no array of images, and for
    images of another shape than ``wanted``: only pictures are brought to one.
    """
    arrange = _arrangement(shape, where, layout, wanted)
    found = arrange(np.empty((0, *shape[1:]), np.uint8)).shape[1:]
    if wanted is not None and found != wanted:
        raise DataError(
            f"{where}: images of {'×'.join(map(str, found))} where {'×'.join(map(str, wanted))} is asked for: only "
            "pictures are resized. Leave the shape out, or resize the arrays."
        )
    return arrange


def _arrangement(
    shape: tuple[int, ...], where: str, layout: Layout | None, wanted: Shape | None
) -> Callable[[Array], Array]:
    size = shape[1:]
    if layout not in (None, "nchw", "nhwc"):
        raise DataError(f"{where}: layout={layout!r}: choose 'nchw' (channels first), 'nhwc' (last) or None")
    if len(shape) == 2:
        side = isqrt(size[0])
        made = wanted or ((1, side, side) if side * side == size[0] and side > 1 else (1, 1, size[0]))
        if prod(made) != size[0]:
            raise DataError(f"{where}: {size[0]} numbers an image are no {' × '.join(map(str, made))}")
        return lambda piece: piece.reshape(len(piece), *made)
    if len(shape) == 3:
        return lambda piece: piece[:, None]
    if len(shape) != 4:
        raise DataError(
            f"{where}: images are an array of {'×'.join(map(str, shape))}; needed are (n, channels, height, width), "
            "(n, height, width, channels), (n, height, width) or (n, pixels)"
        )
    first, last = size[0] in (1, 3), size[2] in (1, 3)
    if layout is None and first and last and size[1:] != (1, 1):
        raise DataError(f"{where}: images of {'×'.join(map(str, size))} may be channels first or last: give layout=")
    if layout == "nhwc" or (layout is None and last and not first):
        return lambda piece: np.moveaxis(piece, -1, 1)
    if layout is None and not first:
        raise DataError(
            f"{where}: images of {'×'.join(map(str, size))} have 1 or 3 channels neither first nor last: give layout="
        )
    return lambda piece: piece


def to_bytes(pieces: Pieces, dtype: np.dtype[Any], where: str) -> Callable[[Array], NDArray[np.uint8]]:
    """What turns numbers of this type into bytes; reals are looked at once, all of them, to know what they mean.

    uint8 and whole numbers 0 … 255 are bytes; reals are bytes or intensities, as docs/data.md says. Raises `DataError`
    for others.
    """
    if dtype == np.uint8:
        return lambda piece: piece
    if dtype.kind in "ui":
        for piece in pieces():
            _check_range(piece, where)
        return lambda piece: piece.astype(np.uint8)
    if dtype.kind != "f":
        raise DataError(f"{where}: images are of type {dtype}; give {TAKEN}")
    low, high, whole = np.inf, -np.inf, True
    for piece in pieces():
        if not np.isfinite(piece).all():
            raise DataError(f"{where}: a pixel is not a finite number; give {TAKEN}")
        low, high = min(low, float(piece.min(initial=low))), max(high, float(piece.max(initial=high)))
        whole = whole and bool((piece == np.rint(piece)).all())
    meant = meaning(low, high, whole)
    if meant == "either":
        raise DataError(f"{where}: {either()}")
    if meant == "neither":
        raise DataError(f"{where}: pixels from {low:g} to {high:g} are neither {TAKEN.replace(' or ', ' nor ')}")
    scale = 1 if meant == "bytes" else 255
    return lambda piece: np.rint(np.asarray(piece, np.float64) * scale).astype(np.uint8)


def _check_range(piece: Array, where: str) -> None:
    if piece.size and (piece.min() < 0 or piece.max() > 255):
        raise DataError(f"{where}: pixels from {piece.min()} to {piece.max()} are no bytes 0 … 255")


def step_of(shape: tuple[int, ...], itemsize: int) -> int:
    """How many images of an array (n, …) make a piece."""
    return max(1, PIECE // max(1, prod(shape[1:]) * itemsize))
