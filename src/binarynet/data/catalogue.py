"""The data sets by name. To add one: a file beside this one that defines a `Source`, a line in `SOURCES`."""

from __future__ import annotations

import os
from pathlib import Path

from binarynet.data import cifar10, digits, idx, svhn
from binarynet.data.dataset import DataSet, Split, SplitName
from binarynet.data.files import locate
from binarynet.data.source import Source
from binarynet.errors import DataError, closest, takes

SOURCES: tuple[Source, ...] = (
    digits.DIGITS,
    idx.MNIST,
    idx.FASHION_MNIST,
    idx.KMNIST,
    cifar10.CIFAR10,
    svhn.SVHN,
)


def names() -> tuple[str, ...]:
    """The names `load` knows."""
    return tuple(source.name for source in SOURCES)


@takes(
    name=(str, "a data set's name, such as 'digits'"), data_dir=(str | os.PathLike | None, "a folder's path, or None")
)
def load(name: str, data_dir: Path | str | None = None, *, download: bool = True) -> DataSet:
    """Read a whole data set.

    name: one of `names()`; case, `-` and `_` do not matter.
    data_dir: a directory that holds a folder for the set, as `docs/data.md` lays it out. Searched first;
        then the directory that the environment variable BINARYNET_DATA names; then the download cache.
    download: whether what is not found may be downloaded into the cache.

    Raises `DataError`, which names the file and the way out: unknown name, file missing, wrong magic number,
    truncated, images and labels of different length, label out of range.
    """
    source = _find(name)
    files = locate(source, ("training", "test"), data_dir, download)
    train, validation = source.read_training(files["training"])
    return DataSet(source.name, source.classes, train, validation, source.read_test(files["test"]))


@takes(
    name=(str, "a data set's name, such as 'digits'"),
    split=(str, "'train', 'validation' or 'test'"),
    data_dir=(str | os.PathLike | None, "a folder's path, or None"),
)
def load_split(name: str, split: SplitName, data_dir: Path | str | None = None, *, download: bool = True) -> Split:
    """Read one split; "test" opens (and downloads) no training file. Arguments and errors as for `load`."""
    source = _find(name)
    if split == "test":
        return source.read_test(locate(source, ("test",), data_dir, download)["test"])
    if split not in ("train", "validation"):
        also = closest(split, ("train", "validation", "test"))
        raise DataError(f"unknown split {split!r}.{also} There are 'train', 'validation' and 'test'.")
    train, validation = source.read_training(locate(source, ("training",), data_dir, download)["training"])
    return train if split == "train" else validation


def _find(name: str) -> Source:
    known = {_plain(source.name): source for source in SOURCES}
    if isinstance(name, str) and (source := known.get(_plain(name))):
        return source
    raise DataError(f"unknown data set {name!r}.{closest(name, names())} Known: {', '.join(names())}.")


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
