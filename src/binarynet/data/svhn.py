"""SVHN, the cropped digits of 32×32 pixels.

Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.

Three MATLAB files: `X` (32, 32, 3, n) uint8, height × width × channel × image, and `y` (n, 1), 1..10 where
10 means 0.

The papers train on `train` and `extra` together, less 6,000 validation images: 400 of each class from
`train`, 200 from `extra` (P. Sermanet, S. Chintala, Y. LeCun, arXiv 1204.3968). Which ones was
not published; here they are drawn with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from binarynet.data import matlab
from binarynet.data.dataset import Split, labelled
from binarynet.data.source import Layout, Published, Source
from binarynet.errors import DataError

CLASSES = tuple(str(digit) for digit in range(10))
VALIDATION_PER_CLASS = {"train_32x32.mat": 400, "extra_32x32.mat": 200}
SEED = 322
MOST_IMAGES = 600_000  # a file may claim; `extra` holds 531,131
CHUNK = 8192  # images reordered at a time, 24 MiB


def read_labels(path: Path) -> np.ndarray:
    """The labels of a file → (n,) int64, 0..9. Its images are skipped, not decompressed."""
    labels = _variable(path, "y", MOST_IMAGES)
    if labels.ndim != 2 or labels.shape[1] != 1 or labels.dtype.kind not in "iuf":
        raise DataError(f"{path}: y has shape {labels.shape} and type {labels.dtype}, expected (n, 1) numbers")
    wrong = np.flatnonzero(~np.isin(labels, np.arange(1, 11)))
    if len(wrong):
        raise DataError(
            f"{path}: label {labels[wrong[0], 0]} at index {wrong[0]} is outside 1..10 "
            f"({len(wrong)} such labels). The file is damaged or of another set: fetch it again."
        )
    return labels[:, 0].astype(np.int64) % 10


def read_images(path: Path) -> np.ndarray:
    """The images of a file, as they stand there: (32, 32, 3, n) uint8, height × width × channel × image."""
    images = _variable(path, "X", MOST_IMAGES * 32 * 32 * 3)
    if images.ndim != 4 or images.shape[:3] != (32, 32, 3) or images.dtype != np.uint8:
        raise DataError(f"{path}: X has shape {images.shape} and type {images.dtype}, expected (32, 32, 3, n) uint8")
    return images


def read_training(paths: Sequence[Path]) -> tuple[Split, Split]:
    """`train` and `extra` → (train, validation): 598,388 and 6,000 images. Peak memory is 3.5 GB."""
    labels = [read_labels(path) for path in paths]
    held_out = [_draw(path, of_file) for path, of_file in zip(paths, labels, strict=True)]
    n_validation = sum(int(chosen.sum()) for chosen in held_out)
    train = np.empty((sum(map(len, labels)) - n_validation, 3, 32, 32), np.uint8)
    validation = np.empty((n_validation, 3, 32, 32), np.uint8)
    train_at = validation_at = 0
    for path, of_file, chosen in zip(paths, labels, held_out, strict=True):
        images = read_images(path)
        _same_length(path, images, of_file)
        train_at = _copy(images, ~chosen, train, train_at)
        validation_at = _copy(images, chosen, validation, validation_at)
        del images  # 1.6 GB for `extra`
    train_labels = np.concatenate([of_file[~chosen] for of_file, chosen in zip(labels, held_out, strict=True)])
    validation_labels = np.concatenate([of_file[chosen] for of_file, chosen in zip(labels, held_out, strict=True)])
    return Split(train, train_labels), Split(validation, validation_labels)


def read_test(paths: Sequence[Path]) -> Split:
    """The test file, as it is: 26,032 images."""
    (path,) = paths
    labels, images = read_labels(path), read_images(path)
    _same_length(path, images, labels)
    ordered = np.empty((len(labels), 3, 32, 32), np.uint8)
    _copy(images, np.ones(len(labels), bool), ordered, 0)
    return labelled(ordered, labels, CLASSES, path, path)


def _draw(path: Path, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: which images of a training file are for validation, the same number of each class."""
    count = VALIDATION_PER_CLASS[path.name]
    chosen = np.zeros(len(labels), bool)
    generator = np.random.RandomState(SEED)  # the old one: numpy promises that its stream never changes
    for digit in range(len(CLASSES)):
        candidates = np.flatnonzero(labels == digit)
        if len(candidates) < count:
            raise DataError(
                f"{path} holds {len(candidates)} images of the digit {digit}; the validation split takes "
                f"{count} of each. It is not the official file: fetch it again."
            )
        chosen[generator.permutation(candidates)[:count]] = True
    return chosen


def _copy(images: np.ndarray, keep: np.ndarray, target: np.ndarray, start: int) -> int:
    """Append the images to `keep` to `target` from `start` on; returns where the next one goes."""
    for first in range(0, len(keep), CHUNK):
        kept = keep[first : first + CHUNK]
        chunk = images[..., first : first + CHUNK].transpose(3, 2, 0, 1)  # (32, 32, 3, n) → (n, 3, 32, 32)
        stop = start + int(kept.sum())
        target[start:stop] = chunk if kept.all() else chunk[kept]
        start = stop
    return start


def _same_length(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if images.shape[3] != len(labels):
        raise DataError(f"{path} holds {images.shape[3]} images but {len(labels)} labels. Fetch it again.")


def _variable(path: Path, name: str, most: int) -> np.ndarray:
    found = matlab.read(path, name, most)
    if found is None:
        raise DataError(f"{path} has no variable {name}: it is truncated, or none of SVHN's files.")
    return found


_FILES = {
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "extra_32x32.mat": "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}

SVHN = Source(
    "svhn",
    CLASSES,
    (Layout("svhn", ("train_32x32.mat", "extra_32x32.mat"), ("test_32x32.mat",)),),
    tuple(
        Published(
            file,
            sha256,
            (
                f"http://ufldl.stanford.edu/housenumbers/{file}",
                f"https://ufldl.stanford.edu/housenumbers/{file}",
            ),
            (file,),
        )
        for file, sha256 in _FILES.items()
    ),
    read_training,
    read_test,
)
