"""Splits whose images stay on disk: each is read, cut and scaled when it is asked for.

`Pictures` stands where an array (n, 3, size, size) uint8 stands: ``images[rows]`` are the pictures as evaluation sees
them, `Pictures.training` one as training does. Labels and the places of the files are in memory, pixels are not.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.crops import Crops, Image
from binarynet.data.dataset import DataSet, Split
from binarynet.data.own.labels import numbered
from binarynet.data.own.pile import PARTS, Found, Openable, Pile, check_complete, drawn, names_of
from binarynet.errors import DataError

ONE_IN = 50  # of each class, for a split that is not there: of many images a smaller share will do


@dataclass(frozen=True)
class Pictures:
    """Pictures of a split, by their rows in ``files``. Errors of reading name the file."""

    files: Openable
    rows: NDArray[np.intp]
    crops: Crops

    ndim = 4
    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, 3, size, size)."""
        return len(self.rows), *self.crops.shape

    @property
    def nbytes(self) -> int:
        """Of all images, were they in memory."""
        return len(self.rows) * 3 * self.crops.size**2

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """A row → (3, size, size); a slice or an array of rows → (n, 3, size, size), as evaluation sees them."""
        wanted = self.rows[rows]
        if wanted.ndim == 0:
            return self._evaluation(int(wanted))
        images = np.empty((len(wanted), *self.crops.shape), np.uint8)
        with ThreadPoolExecutor(min(len(wanted), threads()) or 1) as pool:  # decoders let other threads run
            for place, image in enumerate(pool.map(lambda row: self._evaluation(int(row)), wanted)):
                images[place] = image
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)  # for whoever takes all of them into memory

    def training(self, row: int, generator: np.random.Generator) -> Image:
        """One picture as training sees it, (3, size, size)."""
        picture, _ = self.files.open(int(self.rows[row]))
        return self.crops.training(picture, generator)

    def _evaluation(self, row: int) -> Image:
        picture, _ = self.files.open(row)
        return self.crops.evaluation(picture)


@dataclass(frozen=True)
class StreamedSplit(Split):
    """A split whose ``images`` are `Pictures`."""

    images: Any

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(f"a split needs one label an image, not {len(self.labels)} for {len(self.images)}")

    def update(self, digest: Any) -> None:
        """Name and length of each file, and the labels: to read all pixels would take as long as an epoch."""
        for row in self.images.rows:
            digest.update(self.images.files.mark(int(row)).encode(errors="surrogateescape"))
        digest.update(self.labels.tobytes())


def threads() -> int:
    """How many pictures are decoded at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def splits_of(found: Found, classes: tuple[str, ...], crops: Crops, seed: int) -> dict[str, StreamedSplit]:
    """Train, validation and test of what a path holds, no picture of which is read.

    Where there is ``val`` and no ``test``, as in ImageNet, papers report what they reach on ``val``: so it is the test
    here, looked at once, and a fiftieth of each class of ``train`` validates. Raises `DataError` for data that is no
    pictures, for a label that is no class, a class without training images.
    """
    piles = dict(found.piles)
    if "validation" in piles and "test" not in piles:
        piles["test"] = piles.pop("validation")
    check_complete(Found(found.where, piles, classes), classes)
    splits: dict[str, StreamedSplit] = {}
    for name, pile in piles.items():
        files = _files(pile)
        targets = [one for one in PARTS if one not in piles] if name == "train" else []
        part_of = drawn(pile, classes, len(targets), seed, ONE_IN)
        labels = numbered(pile.labels, classes, pile.where)
        for number, one in enumerate([name, *targets]):
            rows = np.flatnonzero(part_of == number)
            splits[one] = StreamedSplit(Pictures(files, rows, crops), labels[rows])
    return splits


def all_of(found: Found, classes: tuple[str, ...], crops: Crops) -> Split:
    """Every picture that a path holds, cut as evaluation sees it, in memory. Raises `DataError` as `splits_of`, but
    classes may be empty."""
    parts = [
        (Pictures(_files(pile), np.arange(len(pile)), crops)[:], numbered(pile.labels, classes, pile.where))
        for pile in found.piles.values()
    ]
    return Split(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _files(pile: Pile) -> Openable:
    if pile.files is None:
        raise DataError(f"{pile.where} holds arrays, and this recipe cuts photographs: give a folder of pictures")
    return pile.files


def streamed(found: Found, name: str, crops: Crops, seed: int, origin: dict[str, Any]) -> DataSet:
    """A data set that stays on disk; arguments and errors as `splits_of`."""
    classes = names_of(found)
    return DataSet(name, classes, **splits_of(found, classes, crops, seed), origin={**origin, "resize": crops.resize})
