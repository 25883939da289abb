"""A path → what is there: class folders, a `.npz` or CSV file, a folder with one of these a split, or shards."""

from __future__ import annotations

from pathlib import Path

from binarynet.data.own.npz import SPLITS, read_npz
from binarynet.data.own.pictures import read_folder
from binarynet.data.own.pile import Found, Pile
from binarynet.data.own.shards import read_shards, shards_in
from binarynet.data.own.table import read_csv
from binarynet.data.own.values import Layout, Shape
from binarynet.data.pictures import Background
from binarynet.errors import DataError

_ENDINGS = (".npz", ".csv")


def find(
    path: Path, shape: Shape | None = None, background: Background | None = None, layout: Layout | None = None
) -> Found:
    """What a path holds, named but mostly not yet read. `DataError` for one that holds no data set."""
    if not path.exists():
        raise DataError(f"{path} does not exist: there is no such file or folder of data")
    if path.is_file():
        return _file(path, shape, background, layout)
    files = [one for one in sorted(path.iterdir()) if one.suffix.lower() in _ENDINGS and one.stem.lower() in SPLITS]
    if not files and (shards := shards_in(path)):
        return read_shards(path, shards, shape, background)
    if not files:
        return read_folder(path, shape, background)
    piles: dict[str, Pile] = {}
    classes = None
    for file in files:
        split, found = SPLITS[file.stem.lower()], _file(file, shape, background, layout)
        if split in piles or set(found.piles) != {"train"}:
            raise DataError(f"{file}: the split {split!r} stands twice. Leave one of the files out.")
        piles[split], classes = found.piles["train"], classes or found.classes
    if "train" not in piles:
        raise DataError(
            f"{path} holds {', '.join(one.name for one in files)}, but no training images: train{files[0].suffix}"
        )
    return Found(str(path), piles, classes)


def _file(path: Path, shape: Shape | None, background: Background | None, layout: Layout | None) -> Found:
    ending = path.suffix.lower()
    if ending == ".npz":
        return read_npz(path, layout, shape)
    if ending == ".csv":
        return Found(str(path), {"train": read_csv(path, layout, shape, background)})
    if ending == ".tar":
        return read_shards(path, {"train": [path]}, shape, background)
    raise DataError(f"{path}: data is a folder of class folders, a .npz, a .csv or a .tar file")
