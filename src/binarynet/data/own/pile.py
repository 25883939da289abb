"""Images on their way into memory, and the three parts that they are dealt to.

An image is read once and written to its place at once, so a set takes the memory of its pixels and of one piece more.
What the files do not say is drawn: a tenth of each class for validation, a tenth for the test. The draw depends on the
seed, the class and the order of the images, and on nothing else.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from binarynet.data.own.labels import Labels, check_names, classes_of, numbered
from binarynet.errors import DataError

Bytes = NDArray[np.uint8]
Part = tuple[Bytes, Labels]  # images (n, channels, height, width), labels (n,)
Read = Callable[[NDArray[np.intp]], Iterator[Bytes]]

PARTS = ("train", "validation", "test")
DRAWN = 10  # one part in so many of each class, for a split that is not there


class Openable(Protocol):
    """Pictures that can be read one by one, in any order, by any thread."""

    def open(self, row: int) -> tuple[Any, list[str]]:
        """The picture as Pillow has it, of mode L or RGB, and what was done to it. `InputError`, naming it, for one
        that is none."""

    def where(self, row: int) -> Path:
        """Its name, for messages."""

    def mark(self, row: int) -> str:
        """What tells the file from another: its name and its length."""


@dataclass
class Pile:
    """Images of one file or folder, not yet read.

    where: its name, for messages. labels: (n,) texts or whole numbers. read: rows in rising order → those images, a
    piece (k, channels, height, width) uint8 at a time. notes: what reading did to them, counted.
    shape: (channels, height, width), where it is known before an image is read. files: the pictures themselves, where
    the images are pictures.
    """

    where: str
    labels: NDArray[Any]
    read: Read
    notes: Counter[str] = field(default_factory=Counter)
    shape: tuple[int, ...] | None = None
    files: Openable | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Found:
    """What a path holds: ``piles`` by split, ``train`` at least; ``classes`` where the files name them."""

    where: str
    piles: Mapping[str, Pile]
    classes: tuple[str, ...] | None = None
    passed_over: tuple[str, ...] = ()


def names_of(found: Found) -> tuple[str, ...]:
    """The classes: as the files name them, or as the training labels do. `DataError` unless there are two."""
    classes = found.classes or classes_of(found.piles["train"].labels, found.piles["train"].where)
    return check_names(classes, found.where)


def dealt(found: Found, classes: Sequence[str], seed: int = 0, *, progress: bool = False) -> dict[str, Part]:
    """All three parts, in memory.

    Raises `DataError` for a label that is no class, a class without training images, a split without images.
    """
    check_complete(found, classes)
    parts: dict[str, Part] = {}
    for name, pile in found.piles.items():
        targets = [one for one in PARTS if one not in found.piles] if name == "train" else []
        part_of = drawn(pile, classes, len(targets), seed)
        images = gather(pile, part_of, 1 + len(targets), progress)
        labels = numbered(pile.labels, classes, pile.where)
        for number, one in enumerate([name, *targets]):
            parts[one] = images[number], labels[part_of == number]
    return parts


def one_part(found: Found, classes: Sequence[str], name: str, seed: int = 0, *, progress: bool = False) -> Part:
    """One part alone, or ``all``: every image that is there. Nothing else is read.

    Raises `DataError` for a label that is no class, or where the part has no images.
    """
    if name == "all":
        read = [_of(pile, np.zeros(len(pile), np.intp), classes, progress) for pile in found.piles.values()]
        return np.concatenate([one for one, _ in read]), np.concatenate([one for _, one in read])
    if name in found.piles and name != "train":
        pile = found.piles[name]
        return _of(pile, np.zeros(len(pile), np.intp), classes, progress)
    pile = found.piles["train"]
    targets = ["train", *(one for one in PARTS if one not in found.piles)]
    part_of = drawn(pile, classes, len(targets) - 1, seed)
    return _of(pile, np.where(part_of == targets.index(name), 0, -1), classes, progress)


def _of(pile: Pile, part_of: NDArray[np.intp], classes: Sequence[str], progress: bool) -> Part:
    labels = numbered(pile.labels, classes, pile.where)
    (images,) = gather(pile, part_of, 1, progress)
    return images, labels[part_of == 0]


def gather(pile: Pile, part_of: NDArray[np.intp], parts: int, progress: bool = False) -> list[Bytes]:
    """Read what belongs to one of ``parts`` parts (−1: to none) → the images of each.

    Raises `DataError` if they would take more memory than the machine has, or one is of another size.
    """
    rows = np.flatnonzero(part_of >= 0)
    mine = part_of[rows]
    place = np.empty(len(rows), np.intp)
    counts = [int((mine == part).sum()) for part in range(parts)]
    for part in range(parts):
        place[mine == part] = np.arange(counts[part])
    if pile.shape is not None:
        _check_memory(pile.where, len(rows), pile.shape)
    images: list[Bytes] = []
    done = 0
    for piece in _shown(pile, rows, progress):
        if not images:
            _check_memory(pile.where, len(rows), piece.shape[1:])
            images = [np.empty((count, *piece.shape[1:]), np.uint8) for count in counts]
        here = slice(done, done + len(piece))
        for part in range(parts):
            chosen = mine[here] == part
            if chosen.any():
                images[part][place[here][chosen]] = piece[chosen]
        done += len(piece)
    if done != len(rows) or not images:
        raise DataError(f"{pile.where} holds {done} images for {len(rows)} labels")
    return images


def _shown(pile: Pile, rows: NDArray[np.intp], progress: bool) -> Iterator[Bytes]:
    """The pieces, with a bar on standard error where that is a terminal (or a notebook)."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:  # a plain install, without the command line
        yield from pile.read(rows)
        return
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (progress and _is_watched(console))) as bar:
        task = bar.add_task(f"reading {len(rows):,} images", total=len(rows))
        for piece in pile.read(rows):
            yield piece
            bar.advance(task, len(piece))


def _is_watched(console: Any) -> bool:
    return bool(console.is_terminal or console.is_jupyter)


def _check_memory(where: str, count: int, shape: tuple[int, ...]) -> None:
    wanted, there = count * prod(shape), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > there:
        raise DataError(
            f"{where}: {count} images of {' × '.join(map(str, shape))} take {wanted / 1e9:,.1f} GB, and this machine "
            f"has {there / 1e9:,.1f}. Have them brought to a smaller shape (--shape), or give fewer."
        )


def check_complete(found: Found, classes: Sequence[str]) -> None:
    """`DataError` unless every split has images, and the training split some of each class."""
    for pile in found.piles.values():
        if not len(pile):
            raise DataError(f"{pile.where} holds no images")
    pile = found.piles["train"]
    counts = np.bincount(numbered(pile.labels, classes, pile.where), minlength=len(classes))
    if not counts.all():
        empty = classes[int(counts.argmin())]
        raise DataError(f"{pile.where}: the class {empty!r} has no images. Add some, or take the class away.")


def drawn(pile: Pile, classes: Sequence[str], others: int, seed: int, one_in: int = DRAWN) -> NDArray[np.intp]:
    """(n,): 0 for images that stay, 1 … ``others`` for those drawn for a split that is not there, one in so many.

    Raises `DataError` where no class has images enough.
    """
    part_of = np.zeros(len(pile), np.intp)
    if not others:
        return part_of
    labels = numbered(pile.labels, classes, pile.where)
    for number in range(len(classes)):
        rows = np.flatnonzero(labels == number)
        # The old generator: numpy promises that its stream never changes.
        order = np.random.RandomState([seed, number]).permutation(rows)
        count = max(1, round(len(rows) / one_in)) if len(rows) > others else 0
        for part in range(others):
            part_of[order[part * count : (part + 1) * count]] = 1 + part
    if not (part_of == others).any():
        raise DataError(
            f"{pile.where}: no class has more than {others} images, so none can be drawn for "
            f"{'validation and test' if others == 2 else 'the other split'}. Add images, or give the splits yourself."
        )
    return part_of
