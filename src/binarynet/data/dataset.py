"""What a data set is in memory: three splits of images and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from binarynet.data.own.arrays import pile_of
from binarynet.data.own.find import find
from binarynet.data.own.items import pile_of_items
from binarynet.data.own.labels import check_names
from binarynet.data.own.pile import Found, Pile, dealt, names_of
from binarynet.data.own.values import Layout, Shape
from binarynet.data.pictures import Background
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

    def update(self, digest: Any) -> None:
        """Give what the split holds to a digest of hashlib."""
        digest.update(self.images.data if self.images.flags.c_contiguous else self.images.tobytes())
        digest.update(self.labels.tobytes())

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.images.shape[1:]))
        return (
            f"Split({len(self):,} images of {shape}, labels {self.labels.min(initial=0)}…{self.labels.max(initial=0)})"
        )


@dataclass(frozen=True)
class DataSet:
    """A named data set: `train` to fit, `validation` to choose the epoch, `test` to report once.

    Of data of your own: `from_folder`, `from_arrays`, `from_torch`. ``origin`` then says where it came from and what
    was done to it; nothing of a data set of the catalogue.

    Raises `DataError` if the three splits differ in image shape, or a label is not in 0..len(classes)-1.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    origin: Mapping[str, Any] = field(default_factory=dict, compare=False)

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

    @classmethod
    def from_folder(
        cls,
        path: Path | str,
        *,
        shape: Shape | None = None,
        background: Background | None = None,
        layout: Layout | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> Self:
        """Data of your own: class folders of pictures, as torchvision's ImageFolder has them, a `.npz` or a CSV file.

        path: the class folders may lie in ``train``, ``val`` and ``test``. A split that is not there is drawn from
            ``train``: a tenth of each class.
        shape: (channels, height, width) that pictures are brought to, channels 1 or 3; None: all must be of one size.
        background: what transparent places show; None: what the ink stands out from.
        layout: whether arrays (n, …) of a `.npz` have channels first or last; None: as their shape says.
        seed: of the draw. progress: whether a bar is shown on a terminal.

        Takes the memory of the pixels. Raises `DataError` or `InputError`, naming the file: damaged, of another size or
        colour than the first, a label that is no class, a class without images, one class alone.
        """
        root = Path(path).expanduser()
        found = find(root, shape, background, layout)
        origin = {"path": str(root.resolve()), "seed": seed, "background": background, "layout": layout}
        origin["passed over"] = found.passed_over
        return cls._dealt(root.resolve().stem, found, None, seed, progress, origin)

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        classes: Sequence[str] | None = None,
        layout: Layout | None = None,
        seed: int = 0,
        name: str = "arrays",
    ) -> Self:
        """Arrays of your own.

        images: (n, channels, height, width), (n, height, width, channels), (n, height, width) or (n, pixels); uint8,
            whole numbers 0 … 255, or reals as docs/data.md says.
        labels: (n,) whole numbers from 0 on, or texts. classes: their names; None: the texts, or the numbers.
        validation, test: (images, labels) each; what is None is drawn from ``images``, a tenth of each class.

        Raises `DataError` as `from_folder`.
        """
        piles = {"train": pile_of(images, labels, f"{name}: train", layout)}
        for split, pair in (("validation", validation), ("test", test)):
            if pair is not None:
                piles[split] = pile_of(*pair, f"{name}: {split}", layout)
        return cls._dealt(name, Found(name, piles), classes, seed, False, {"seed": seed})

    @classmethod
    def from_torch(
        cls,
        train: Any,
        *,
        validation: Any = None,
        test: Any = None,
        classes: Sequence[str] | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> Self:
        """Any map-style data set of PyTorch, or other object with a length that gives (image, label) by number.

        An image is a Pillow picture, or an array or tensor (channels, height, width) or (height, width): uint8, or
        intensities in [0, 1] as ``ToTensor`` makes them. classes: their names; None: ``train.classes`` if there is one.
        validation, test: what is None is drawn from ``train``. Every item is asked for once: what is random in it stays
        as it was drawn.

        Raises `DataError` as `from_folder`.
        """
        name = name or type(train).__name__
        given = {"train": train, "validation": validation, "test": test}
        piles: dict[str, Pile] = {
            split: pile_of_items(items, f"{name}: {split}") for split, items in given.items() if items is not None
        }
        classes = classes or getattr(train, "classes", None)
        return cls._dealt(name, Found(name, piles), classes, seed, False, {"seed": seed})

    @classmethod
    def _dealt(
        cls, name: str, found: Found, names: Sequence[str] | None, seed: int, progress: bool, origin: Mapping[str, Any]
    ) -> Self:
        classes = check_names(tuple(map(str, names)), found.where) if names else names_of(found)
        parts = dealt(found, classes, seed, progress=progress)
        notes = sum((pile.notes for pile in found.piles.values()), start=type(found.piles["train"].notes)())
        splits = {part: Split(*pair) for part, pair in parts.items()}
        return cls(name, classes, **splits, origin={**origin, "notes": dict(notes)})

    def _repr_html_(self) -> str:
        """A table for notebooks: images of each class in each split. Names out of files are escaped."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = [np.bincount(part.labels, minlength=len(self.classes)) for part in parts.values()]
        rows = "".join(
            f"<tr><td>{escape(name)}</td>{''.join(f'<td>{count[index]:,}</td>' for count in counts)}</tr>"
            for index, name in enumerate(self.classes[:50])
        )
        more = f"… {len(self.classes) - 50} more" if len(self.classes) > 50 else ""
        head = "".join(f"<th>{part}</th>" for part in ("class", *parts))
        return f"<code>{escape(repr(self))}</code><table><tr>{head}</tr>{rows}</table>{more}"

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.shape))
        sizes = " / ".join(f"{len(part):,}" for part in (self.train, self.validation, self.test))
        return f"DataSet({self.name!r}: {sizes} images of {shape}, {len(self.classes)} classes)"


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
