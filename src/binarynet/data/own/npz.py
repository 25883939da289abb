"""`.npz` files of numpy, read a piece at a time: no more than a few megabytes beside the images are ever in memory.

Arrays are found by name: images are called x, images, data, pixels or arr_0, labels y, labels, targets or arr_1, and
each may say its split: ``x_train``, ``train_images``, ``val_labels``, ``y_test``. ``classes`` or ``class_names`` holds
names. An array of objects is a pickle, which is a program, and is refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from binarynet.data.own.pile import Found, Pile
from binarynet.data.own.values import Layout, Shape, arrangement, step_of, to_bytes
from binarynet.errors import DataError

SPLITS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_ROLES = {
    "x": "images", "image": "images", "images": "images", "data": "images", "pixels": "images", "arr0": "images",
    "y": "labels", "label": "labels", "labels": "labels", "target": "labels", "targets": "labels", "arr1": "labels",
    "classes": "classes", "classnames": "classes", "names": "classes",
}  # fmt: skip
_MOST_LABELS = 1 << 28  # bytes of labels or names


class _Member(NamedTuple):
    """An array of the file: its type and shape, and whether its first axis runs fastest."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool


def read_npz(path: Path, layout: Layout | None = None, shape: Shape | None = None) -> Found:
    """The splits of a file. `DataError`, naming it, if it is damaged, holds no images, or labels that do not fit."""
    with _opened(path) as archive:
        members = [_member(archive, info, path) for info in archive.infolist() if info.filename.endswith(".npy")]
        found: dict[tuple[str, str], _Member] = {}
        for member in members:
            role, split = _meaning(member.name)
            if role and found.setdefault((role, split), member) is not member:
                other = found[role, split].name
                raise DataError(f"{path}: {other!r} and {member.name!r} both name {role}. Leave one of them out.")
        arrays = {key: _small(archive, member, path) for key, member in found.items() if key[0] != "images"}
    classes = next((tuple(map(str, arrays[key].ravel())) for key in arrays if key[0] == "classes"), None)
    piles = {}
    for (role, split), member in found.items():
        if role == "images" and ("labels", split) in arrays:
            name = split or "train"
            piles[name] = _pile(path, member, arrays["labels", split], layout, shape)
    if "train" not in piles:
        raise DataError(
            f"{path}: holds {', '.join(repr(one.name) for one in members[:20]) or 'no arrays'}, in which no images "
            "with labels are found. Call them x and y, or x_train, y_train, x_test, y_test."
        )
    return Found(str(path), piles, classes)


def _meaning(name: str) -> tuple[str, str]:
    """(role, split) of an array's name, each empty if it says none."""
    lower = name.lower()
    if (whole := lower.replace("_", "")) in _ROLES:
        return _ROLES[whole], ""
    for first, second in (lower.split("_", 1), lower.split("_", 1)[::-1]) if "_" in lower else ():
        if first in SPLITS and second.replace("_", "") in _ROLES:
            return _ROLES[second.replace("_", "")], SPLITS[first]
    return "", ""


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged, or no .npz file: {error}") from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> _Member:
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, path, info.filename)
        held = info.file_size - file.tell()
    if prod(shape) * dtype.itemsize != held:
        raise DataError(f"{path}: {info.filename} says {shape} of {dtype}, and holds {held} bytes: it is damaged")
    return _Member(info.filename.removesuffix(".npy"), shape, dtype, fortran)


def _header(file: IO[bytes], path: Path, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except Exception as error:  # ValueError, SyntaxError, TokenError … by where the damage is
        raise DataError(f"{path}: {name} is damaged: {' '.join(str(error).split())}") from None
    if dtype.hasobject:
        raise DataError(f"{path}: {name} is an array of objects, which is a program. Save it as numbers or texts.")
    return shape, fortran, dtype


def _small(archive: zipfile.ZipFile, member: _Member, path: Path) -> NDArray[Any]:
    if prod(member.shape) * member.dtype.itemsize > _MOST_LABELS:
        raise DataError(f"{path}: {member.name} takes more than {_MOST_LABELS:,} bytes, which no labels do")
    with archive.open(member.name + ".npy") as file:
        _header(file, path, member.name)
        flat = np.frombuffer(file.read(), member.dtype)
    return flat.reshape(member.shape, order="F" if member.fortran else "C")


def _pile(path: Path, member: _Member, labels: NDArray[Any], layout: Layout | None, shape: Shape | None) -> Pile:
    where = f"{path} ({member.name})"
    if member.fortran and len(member.shape) > 1:
        raise DataError(f"{where}: stored column by column; save np.ascontiguousarray of it")
    if not member.shape or len(labels) != member.shape[0]:
        raise DataError(f"{where}: {member.shape[0] if member.shape else 1} images and {len(labels)} labels")
    arrange = arrangement(member.shape, where, layout, shape)
    step = step_of(member.shape, member.dtype.itemsize)

    def pieces() -> Iterator[NDArray[Any]]:
        size = prod(member.shape[1:]) * member.dtype.itemsize
        with _opened(path) as archive, archive.open(member.name + ".npy") as file:
            _header(file, path, member.name)
            for start in range(0, member.shape[0], step):
                count = min(step, member.shape[0] - start)
                content = file.read(count * size)
                if len(content) != count * size:
                    raise DataError(f"{where} is truncated")
                yield np.frombuffer(content, member.dtype).reshape(count, *member.shape[1:])

    convert = to_bytes(pieces, member.dtype, where)

    def read(rows: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
        for number, piece in enumerate(pieces()):
            mine = rows[np.searchsorted(rows, number * step) : np.searchsorted(rows, number * step + len(piece))]
            if len(mine):
                yield convert(arrange(piece[mine - number * step]))

    return Pile(where, labels, read)
