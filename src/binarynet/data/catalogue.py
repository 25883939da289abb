"""The data sets by name, and those of the user's own by their path.

To add one for everybody: a file beside this one that defines a `Source`, a line in `SOURCES`. To add one from another
package: an entry point of the group ``binarynet.datasets``, a function without arguments that returns a `DataSet`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from binarynet import plugins
from binarynet.data import cifar10, digits, idx, svhn
from binarynet.data.crops import Crops
from binarynet.data.dataset import DataSet, Split, SplitName
from binarynet.data.files import given, locate
from binarynet.data.own.find import find
from binarynet.data.own.pile import names_of, one_part
from binarynet.data.own.values import Layout, Shape
from binarynet.data.pictures import Background
from binarynet.data.source import Source
from binarynet.data.streamed import all_of, splits_of, streamed
from binarynet.data.text import Tokens, read_text
from binarynet.errors import DataError, closest, takes

SOURCES: tuple[Source, ...] = (
    digits.DIGITS,
    idx.MNIST,
    idx.FASHION_MNIST,
    idx.KMNIST,
    cifar10.CIFAR10,
    svhn.SVHN,
)
# Sets that nobody may pass on: the folder that the user has made is looked for by these names.
OWN_FOLDERS = ("imagenet", "ptb")


def names() -> tuple[str, ...]:
    """The names `load` knows."""
    return tuple(source.name for source in SOURCES)


def classes_of(name: str) -> tuple[str, ...] | None:
    """The classes of a data set by its name, of which no file is read; None for other names."""
    source = _find(name)
    return source.classes if source is not None else None


@takes(
    name=(str | os.PathLike, "a data set's name, such as 'digits', or a path"),
    data_dir=(str | os.PathLike | None, "a folder's path, or None"),
    layout=(str | None, "'nchw', 'nhwc' or None"),
    seed=(int, "a whole number"),
)
def load(
    name: str | os.PathLike[str],
    data_dir: Path | str | None = None,
    *,
    download: bool = True,
    shape: Shape | None = None,
    background: Background | None = None,
    crops: Crops | None = None,
    text: Tokens | None = None,
    layout: Layout | None = None,
    seed: int = 0,
    progress: bool = False,
) -> DataSet:
    """Read a whole data set.

    name: one of `names()`; case, `-` and `_` do not matter. Or the path of one of your own, see `DataSet.from_folder`.
    data_dir: a directory that holds a folder for the set, as `docs/data.md` lays it out. Searched first;
        then the directory that the environment variable BINARYNET_DATA names; then the download cache.
    download: whether what is not found may be downloaded into the cache.
    shape, background, layout, seed, progress: of data of your own, as `DataSet.from_folder` has them.
    crops: photographs of your own stay on disk, and are cut to one size as they are read (`binarynet.data.streamed`).
    text: the path is a text, or a folder of texts (`binarynet.data.text`).

    Raises `DataError`, which names the file and the way out: unknown name, file missing, wrong magic number,
    truncated, images and labels of different length, label out of range.
    """
    if (source := _find(name)) is not None:
        files = locate(source, ("training", "test"), data_dir, download)
        train, validation = source.read_training(files["training"])
        whole = DataSet(source.name, source.classes, train, validation, source.read_test(files["test"]))
        return _as_it_is(whole, shape, background, crops or text, layout)
    if (point := plugins.find("binarynet.datasets", str(name))) is not None:
        return _as_it_is(plugins.called(point, DataSet), shape, background, crops or text, layout)
    path = _own(name, data_dir)
    if text is not None:
        return _as_it_is(read_text(path, text), shape, background)
    if crops is not None and shape not in (None, crops.shape):
        raise DataError(f"{path}: this recipe cuts photographs to {_shown(crops.shape)} itself: leave the shape out")
    if crops is None:
        return DataSet.from_folder(
            path, shape=shape, background=background, layout=layout, seed=seed, progress=progress
        )
    origin = {"path": str(path.resolve()), "seed": seed, "background": background}
    return streamed(find(path, None, background), path.resolve().stem, crops, seed, origin)


@takes(
    name=(str | os.PathLike, "a data set's name, such as 'digits', or a path"),
    split=(str, "'train', 'validation', 'test' or 'all'"),
    data_dir=(str | os.PathLike | None, "a folder's path, or None"),
    layout=(str | None, "'nchw', 'nhwc' or None"),
    seed=(int, "a whole number"),
)
def load_split(
    name: str | os.PathLike[str],
    split: SplitName | Literal["all"],
    data_dir: Path | str | None = None,
    *,
    download: bool = True,
    shape: Shape | None = None,
    background: Background | None = None,
    classes: Sequence[str] | None = None,
    crops: Crops | None = None,
    text: Tokens | None = None,
    layout: Layout | None = None,
    seed: int = 0,
) -> Split:
    """Read one split, or ``all`` images; "test" opens (and downloads) no training file. Arguments and errors as `load`.

    classes: what labels of data of your own are numbered by: those of the model that is asked; None: its own.
    seed: of the draw that a set was dealt by; another one mixes what was learnt into the test.
    """
    if split not in ("train", "validation", "test", "all"):
        also = closest(split, ("train", "validation", "test", "all"))
        raise DataError(f"unknown split {split!r}.{also} There are 'train', 'validation', 'test' and 'all'.")
    if (source := _find(name)) is not None and split != "all":
        if split == "test":
            return source.read_test(locate(source, ("test",), data_dir, download)["test"])
        train, validation = source.read_training(locate(source, ("training",), data_dir, download)["training"])
        return train if split == "train" else validation
    if source is not None or plugins.find("binarynet.datasets", str(name)) is not None:
        whole = load(name, data_dir, download=download)
        parts = [whole.train, whole.validation, whole.test] if split == "all" else [getattr(whole, split)]
        return Split(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))
    if text is not None and split != "all":
        whole = read_text(_own(name, data_dir), text, tuple(classes) if classes else None)
        return {"train": whole.train, "validation": whole.validation, "test": whole.test}[split]
    found = find(_own(name, data_dir), None if crops else shape, background, layout)
    known = tuple(classes or names_of(found))
    if crops is not None:
        return all_of(found, known, crops) if split == "all" else splits_of(found, known, crops, seed)[split]
    return Split(*one_part(found, known, split, seed))


def _as_it_is(
    whole: DataSet,
    shape: Shape | None,
    background: Background | None,
    cut: Crops | Tokens | None = None,
    layout: Layout | None = None,
) -> DataSet:
    """The set. `DataError` where it should have another shape or a background, which only pictures are given, or be
    cut, as only photographs and texts are."""
    if cut is not None:
        raise DataError(
            f"{whole.name} is images of {_shown(whole.shape)}, and this recipe cuts "
            f"{'photographs' if isinstance(cut, Crops) else 'texts'} as it reads them: give the path of some."
        )
    if shape not in (None, whole.shape) or background is not None or layout is not None:
        asked = f"background {background}" if background is not None else f"layout {layout}"
        asked = f"shape {_shown(shape)}" if shape not in (None, whole.shape) else asked
        raise DataError(
            f"{whole.name} is images of {_shown(whole.shape)}, as they are: {asked} is for data of your own. "
            "Leave it out."
        )
    return whole


def _shown(shape: Shape | None) -> str:
    return "×".join(map(str, shape or ()))


def is_own(name: str | os.PathLike[str]) -> bool:
    """Whether this is the path of data of the user's own, and no name of the catalogue or of a plug-in."""
    return _find(name) is None and plugins.find("binarynet.datasets", str(name)) is None and Path(name).exists()


def _own(name: str | os.PathLike[str], data_dir: Path | str | None) -> Path:
    path = Path(name).expanduser()
    if path.exists():
        return path
    if name in OWN_FOLDERS:
        if found := given(str(name), data_dir):
            return found
        raise DataError(
            f"{name} cannot be downloaded from here: give your copy by --data PATH, or put it into DIR/{name} and give "
            "DIR as --data-dir or BINARYNET_DATA."
        )
    known = (*names(), *plugins.names("binarynet.datasets"))
    if os.sep in str(name) or path.suffix:
        raise DataError(f"{path} does not exist. Data is a folder of class folders, a .npz or a .csv file.")
    raise DataError(
        f"unknown data set {str(name)!r}.{closest(str(name), known)} Known: {', '.join(known)}; "
        "or the path of your own."
    )


def _find(name: str | os.PathLike[str]) -> Source | None:
    known = {_plain(source.name): source for source in SOURCES}
    return known.get(_plain(name)) if isinstance(name, str) else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
