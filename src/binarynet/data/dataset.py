"""What a data set is in memory: three splits of images and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from binarynet.errors import DataError, expect

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Images and their labels, in the same order.

    images: (n, channels, height, width) uint8, 0..255.
    labels: (n,) int64, indices into the data set's `classes`.

    Raises `DataError` if the arrays are of another type or rank, or differ in length.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        expect("Split: images", self.images, np.ndarray, "an array (n, channels, height, width) of uint8")
        expect("Split: labels", self.labels, np.ndarray, "an array (n,) of int64")
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DataError(
                f"a split needs images of shape (n, channels, height, width) and type uint8, "
                f"not {self.images.shape} {self.images.dtype}"
            )
        if self.labels.ndim != 1 or self.labels.dtype != np.int64:
            raise DataError(
                f"a split needs labels of shape (n,) and type int64, not {self.labels.shape} {self.labels.dtype}"
            )
        if len(self.images) != len(self.labels):
            raise DataError(f"a split needs one label an image, not {len(self.labels)} for {len(self.images)}")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    """A named data set: `train` to fit, `validation` to choose the epoch, `test` to report once.

    Raises `DataError` if the three splits differ in image shape, or a label is not in 0..len(classes)-1.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        expect("DataSet: name", self.name, str, "the set's name")
        expect("DataSet: classes", self.classes, tuple | list, "the names of the classes, as a tuple")
        for name in ("train", "validation", "test"):
            expect(f"DataSet: {name}", getattr(self, name), Split, "a Split(images, labels)")
        shapes = {part.images.shape[1:] for part in (self.train, self.validation, self.test)}
        if len(shapes) > 1:
            raise DataError(f"{self.name}: the splits differ in image shape: {sorted(shapes)}")
        for split in ("train", "validation", "test"):
            if wrong := _outside(getattr(self, split).labels, self.classes):
                raise DataError(f"{self.name}: {split} {wrong}. Number the classes from 0, and name all of them.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width


def labelled(
    images: np.ndarray, labels: np.ndarray, classes: Sequence[str], images_from: object, labels_from: object
) -> Split:
    """A `Split` of what two files (or one file twice) hold, or a `DataError` that names them.

    Raises `DataError` if the files hold no image, differ in length, or a label is not in 0..len(classes)-1.
    """
    if len(images) != len(labels):
        raise DataError(
            f"{images_from} holds {len(images)} images but {labels_from} holds {len(labels)} labels: "
            f"they are not of the same set. Fetch both again."
        )
    if not len(images):
        raise DataError(f"{images_from} holds no images. Fetch it again.")
    if wrong := _outside(labels, classes):
        raise DataError(f"{labels_from}: {wrong}. The file is damaged or of another set: fetch it again.")
    return Split(images, labels.astype(np.int64))


def _outside(labels: np.ndarray, classes: Sequence[str]) -> str:
    """The first label that is no class, in words; nothing if all are."""
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if not len(wrong):
        return ""
    first = f"label {labels[wrong[0]]} at index {wrong[0]} is outside 0..{len(classes) - 1}"
    return f"{first} ({len(wrong)} such labels)"


def hold_out(split: Split, part: int, file: object) -> tuple[Split, Split]:
    """Cut a training set in (train, validation): the last 1/`part` is held out. No copy is made."""
    cut = len(split) - len(split) // part
    if cut == len(split):
        raise DataError(f"{file} holds {len(split)} images; a validation split of 1/{part} needs at least {part}.")
    return Split(split.images[:cut], split.labels[:cut]), Split(split.images[cut:], split.labels[cut:])
