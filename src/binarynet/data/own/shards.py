"""Shards as WebDataset has them: plain tar files whose members are named ``KEY.jpg`` and ``KEY.cls``, a pair an image.

A shard's list of contents is read once; a picture is then read from its place, so that any order of images can be asked
for. WebDataset: https://github.com/webdataset/webdataset. The members of one key may stand in any order and have other
endings beside these two, which are passed over.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.own.npz import SPLITS
from binarynet.data.own.pictures import ENDINGS, Frame, pile_of_pictures
from binarynet.data.own.pile import Found
from binarynet.data.own.values import Shape
from binarynet.data.pictures import Background, open_picture
from binarynet.errors import DataError

_CLASS, _MOST_CLASS = ".cls", 256  # bytes of a class: its number or its name
_MOST_PICTURE = 1 << 28  # bytes


@dataclass(frozen=True)
class Members:
    """Pictures in shards, as an `Openable`. places: (n, 3), each (shard, first byte, bytes)."""

    shards: Sequence[Path]
    keys: Sequence[str]
    places: NDArray[np.int64]
    background: Background | None = None

    def open(self, row: int) -> tuple[Any, list[str]]:
        shard, first, count = map(int, self.places[row])
        with open(self.shards[shard], "rb") as file:
            file.seek(first)
            content = file.read(count)
        return open_picture(self.where(row), self.background, content)

    def where(self, row: int) -> Path:
        return self.shards[int(self.places[row, 0])] / self.keys[row]

    def mark(self, row: int) -> str:
        return f"{self.shards[int(self.places[row, 0])].name}/{self.keys[row]}:{self.places[row, 2]}\n"


def shards_in(path: Path) -> dict[str, list[Path]]:
    """The shards of a folder by split: those with the word ``train``, ``val`` or ``test`` in their name, or in a folder
    of that name. Those of which neither says so are training images. Nothing where there are none, or class folders.
    """
    found: dict[str, list[Path]] = {}
    folders = [one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")]
    splits = [one for one in folders if one.name.lower() in SPLITS]
    if len(splits) != len(folders) or any(inside.is_dir() for one in splits for inside in one.iterdir()):
        return {}
    for one in sorted(tar for folder in (path, *splits) for tar in folder.glob("*.tar") if tar.is_file()):
        words = (one.parent.name.lower() if one.parent != path else "", *re.findall("[a-z]+", one.stem.lower()))
        found.setdefault(next((SPLITS[word] for word in words if word in SPLITS), "train"), []).append(one)
    return found


def read_shards(
    where: Path, shards: dict[str, list[Path]], shape: Shape | None = None, background: Background | None = None
) -> Found:
    """The images of shards. `DataError`, naming shard and member, for one that is damaged or has no class."""
    frame, piles = Frame(shape), {}
    for split, files in shards.items():
        keys: list[str] = []
        labels: list[str] = []
        places: list[tuple[int, int, int]] = []
        for number, file in enumerate(files):
            for key, label, first, count in _contents(file):
                keys.append(key)
                labels.append(label)
                places.append((number, first, count))
        members = Members(tuple(files), tuple(keys), np.array(places, np.int64).reshape(-1, 3), background)
        pile = pile_of_pictures(members, labels, f"{where} ({split})", frame)
        if all(re.fullmatch("[0-9]{1,9}", label) for label in labels):
            pile.labels = np.array(labels, np.int64)
        piles[split] = pile
    return Found(str(where), piles)


def _contents(shard: Path) -> Iterator[tuple[str, str, int, int]]:
    """(name of the picture, its class, first byte, bytes) of each pair of a shard."""
    pictures: dict[str, tuple[str, int, int]] = {}
    classes: dict[str, str] = {}
    for member in _members(shard):
        key, dot, ending = _split(member.name)
        name = f"{shard}: {member.name!r}"
        if dot + ending.lower() == _CLASS:
            if key in classes:
                raise DataError(f"{name} is a second class of the key {key!r}. Leave one of them out.")
            classes[key] = _class_in(shard, member, name)
        elif dot + ending.lower() in ENDINGS:
            if key in pictures:
                raise DataError(f"{name} is a second picture of the key {key!r}. Leave one of them out.")
            if member.size > _MOST_PICTURE:
                raise DataError(f"{name} holds {member.size:,} bytes, which no picture does")
            pictures[key] = member.name, member.offset_data, member.size
    for key, (picture, first, count) in pictures.items():
        if key not in classes:
            raise DataError(f"{shard}: {picture!r} has no class: {key + _CLASS!r} is not there")
        yield picture, classes[key], first, count
    if not pictures:
        raise DataError(f"{shard} holds no pictures: its members are to be named KEY.jpg and KEY.cls")


def _split(name: str) -> tuple[str, str, str]:
    """A member's key, which ends at the first dot behind the last slash; the dot; its ending."""
    folder, slash, file = name.rpartition("/")
    key, dot, ending = file.partition(".")
    return folder + slash + key, dot, ending


def _members(shard: Path) -> Iterator[tarfile.TarInfo]:
    """The files of a shard. `DataError` for one that is compressed, damaged or cut short."""
    size = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise DataError(f"{shard}: {member.name!r} is a link, a device or a file with holes, no plain file")
                if member.offset_data + member.size > size:
                    raise DataError(f"{shard} is cut short: {member.name!r} ends behind it. Fetch it again.")
                yield member
            with open(shard, "rb") as file:  # tarfile takes a damaged header for the end
                file.seek(archive.offset)
                if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                    raise DataError(f"{shard} is damaged at byte {archive.offset:,}. Fetch it again.")
    except tarfile.TarError as error:
        raise DataError(f"{shard} is no plain tar file ({error}). A compressed one has to be unpacked first.") from None


def _class_in(shard: Path, member: tarfile.TarInfo, name: str) -> str:
    if not 0 < member.size <= _MOST_CLASS:
        raise DataError(f"{name} holds {member.size} bytes; a class is a number or a name of 1 to {_MOST_CLASS}")
    with open(shard, "rb") as file:
        file.seek(member.offset_data)
        content = file.read(member.size)
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise DataError(f"{name} is no text. A class is a number or a name.") from None
