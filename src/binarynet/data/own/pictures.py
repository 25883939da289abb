"""Pictures → a pile: class folders as torchvision's ImageFolder has them, or any list of files with labels.

Which files are pictures, their names say (`ENDINGS`); what they hold, `binarynet.data.pictures` decides. Classes are
the names of the folders in the order of texts, as in torchvision.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.own.npz import SPLITS
from binarynet.data.own.pile import Found, Openable, Pile
from binarynet.data.own.values import Shape
from binarynet.data.pictures import Background, as_pixels, open_picture
from binarynet.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
_CHANNELS = {"L": 1, "RGB": 3}
_COLOUR = {1: "grey", 3: "in colour"}
_SIZES = re.compile(r"\d+ × \d+ pixels (stretched|resized)")


def read_folder(root: Path, shape: Shape | None = None, background: Background | None = None) -> Found:
    """Class folders in ``root``, or in its folders ``train``, ``val``, ``test``.

    shape: what pictures are brought to; None: all must be of the first one's size and colours.
    `DataError` for a folder without class folders, or one class folder that holds no picture.
    """
    folders = _folders(root)
    splits = {SPLITS[one.name.lower()]: one for one in folders if one.name.lower() in SPLITS}
    others = [one.name for one in folders if one.name.lower() not in SPLITS]
    if "train" in splits and (not others or _folders(splits["train"])):
        if others:
            raise DataError(
                f"{root}: beside {splits['train'].name} stands {others[0]}, which is no split: take it away. (A class "
                f"{splits['train'].name} would hold pictures, not folders.)"
            )
        if len(splits) != len(folders):
            raise DataError(f"{root}: two folders are of the same split: {', '.join(one.name for one in folders)}")
    else:
        splits = {"train": root}
    passed_over: list[str] = []
    classes = [one.name for one in _folders(splits["train"])]
    if not classes:
        raise DataError(
            f"{splits['train']} holds no folders: put the pictures of each class into a folder of its name, as in "
            f"{splits['train'].name}/cat/1.png"
        )
    frame = Frame(shape)
    piles = {}
    for split, folder in splits.items():
        files: list[Path] = []
        labels: list[str] = []
        for one in _folders(folder):
            inside = _pictures(one, passed_over)
            if not inside and split == "train":
                raise DataError(f"{one} holds no pictures ({' '.join(ENDINGS)}): the class {one.name!r} would be empty")
            if inside and one.name not in classes:
                raise DataError(f"{one}: there is no class {one.name!r} in {splits['train']}")
            files += inside
            labels += [one.name] * len(inside)
        piles[split] = pile_of_pictures(Files(files, background), labels, str(folder), frame)
    return Found(str(root), piles, tuple(classes), tuple(passed_over))


@dataclass(frozen=True)
class Files:
    """Picture files, as an `Openable`."""

    paths: Sequence[Path]
    background: Background | None = None

    def open(self, row: int) -> tuple[Any, list[str]]:
        return open_picture(self.paths[row], self.background)

    def where(self, row: int) -> Path:
        return self.paths[row]

    def mark(self, row: int) -> str:
        path = self.paths[row]
        return f"{path.parent.name}/{path.name}:{path.stat().st_size}\n"


class Frame:
    """The size and the colours that all pictures of a set have: those asked for, or else the first one's."""

    def __init__(self, shape: Shape | None) -> None:
        self.shape, self._first, self._asked = shape, Path(), shape is not None

    def of(self, path: Path, width: int, height: int, channels: int) -> Shape:
        """The shape that this picture is brought to. `DataError` if it is of another size or colour than the first."""
        found = channels, height, width
        if self.shape is None:
            self.shape, self._first = found, path
        if self._asked or found == self.shape:
            return self.shape
        first = f"{self._first} is {self.shape[2]} × {self.shape[1]} pixels {_COLOUR[self.shape[0]]}"
        raise DataError(
            f"{path} is {width} × {height} pixels {_COLOUR[channels]}, but {first}. Say which shape all are brought "
            f"to: --shape {'x'.join(map(str, self.shape))}, or shape={self.shape}."
        )


def pile_of_pictures(files: Openable, labels: Sequence[str], where: str, frame: Frame) -> Pile:
    """Pictures with a label each."""
    notes: Counter[str] = Counter()

    def read(rows: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
        for row in rows:
            picture, done = files.open(row)
            channels, height, width = frame.of(files.where(row), picture.width, picture.height, _CHANNELS[picture.mode])
            yield as_pixels(picture, height, width, channels, done)
            notes.update(_SIZES.sub(r"\1", note) for note in done)

    return Pile(where, np.array(labels, np.str_), read, notes, frame.shape, files)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        (one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")), key=lambda p: p.name
    )


def _pictures(folder: Path, passed_over: list[str]) -> list[Path]:
    """The pictures in a folder and the folders in it, by name; other files are noted."""
    found: list[Path] = []
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(inside, name)
            if path.suffix.lower() in ENDINGS and not name.startswith("."):
                found.append(path)
            elif not name.startswith("."):
                passed_over.append(str(path))
    return found
