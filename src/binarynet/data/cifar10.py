"""CIFAR-10, in both published forms.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

Binary version: records of 3,073 bytes: a label, then 32×32 red, green and blue values, row by row.
Python version: a pickled dictionary a batch, with `data` (n, 3072) uint8 in that same order, and `labels`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from binarynet.data.batch_pickle import BatchUnpickler
from binarynet.data.dataset import Split, hold_out, labelled
from binarynet.data.files import read_bytes
from binarynet.data.source import Layout, Published, Source
from binarynet.errors import DataError

IMAGE_SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32

# 50,000 training images: the papers hold out the last 5,000 for validation.
HELD_OUT_PART = 10

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_batch(path: Path | str) -> Split:
    """One batch file (of the binary version if its name ends in `.bin`) → n images; officially 10,000.

    Raises `DataError` if the file is truncated, damaged, or holds something else.
    """
    path = Path(path)
    images, labels = read_binary(path) if path.suffix == ".bin" else read_pickled(path)
    return labelled(images, labels, CLASSES, path, path)


def read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A batch of the binary version → images (n, 3, 32, 32) uint8, labels (n,) uint8."""
    content = read_bytes(path)
    if len(content) % (1 + IMAGE_BYTES):
        raise DataError(
            f"{path} is truncated: {len(content)} bytes are no whole number of "
            f"{1 + IMAGE_BYTES}-byte records. Fetch it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + IMAGE_BYTES)
    return records[:, 1:].reshape(-1, *IMAGE_SHAPE), records[:, 0]  # (n, 3072) → (n, 3, 32, 32)


def read_pickled(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A batch of the Python version → images (n, 3, 32, 32) uint8, labels (n,). Nothing in it is executed."""
    content = read_bytes(path)
    try:
        batch = BatchUnpickler(io.BytesIO(content)).load()
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        data, listed = batch["data"].array, batch["labels"]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except EOFError as error:
        raise DataError(f"{path} is truncated: the pickle ends early. Fetch it again.") from error
    except Exception as error:
        # A damaged pickle fails in any way at all: KeyError, ValueError, UnicodeDecodeError…
        raise DataError(
            f"{path} is damaged or no CIFAR-10 batch ({type(error).__name__}: {error}). Fetch it again."
        ) from error
    if data.ndim != 2 or data.shape[1] != IMAGE_BYTES:
        raise DataError(f"{path}: its images have the shape {data.shape}, expected (n, {IMAGE_BYTES})")
    # Looked at one by one: as an array, a list of a list of … of the same list would be terabytes.
    if not isinstance(listed, list) or not all(type(label) is int and abs(label) < 2**31 for label in listed):
        raise DataError(f"{path}: its labels are not a list of integers")
    return data.reshape(-1, *IMAGE_SHAPE), np.array(listed, np.int64)


def read_training(paths: Sequence[Path]) -> tuple[Split, Split]:
    """The five training batches, cut in (train, validation): 45,000 and the last 5,000 of 50,000."""
    batches = [read_batch(path) for path in paths]
    for path, batch in zip(paths, batches, strict=True):
        # The format has no header: this is how a batch that was cut between two records shows.
        if len(batch) != len(batches[0]):
            raise DataError(
                f"{path} holds {len(batch)} images but {paths[0]} holds {len(batches[0])}. "
                f"One of them is truncated: fetch both again."
            )
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    return hold_out(Split(images, labels), HELD_OUT_PART, paths[0].parent)


def read_test(paths: Sequence[Path]) -> Split:
    """The test batch, as it is."""
    batch = read_batch(paths[0])
    return Split(batch.images.copy(), batch.labels)  # writable, as torch.from_numpy wants it


BINARY_TRAINING = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
BINARY_TEST = ("test_batch.bin",)
PYTHON_TRAINING = tuple(f"data_batch_{i}" for i in range(1, 6))
PYTHON_TEST = ("test_batch",)

CIFAR10 = Source(
    "cifar10",
    CLASSES,
    (
        Layout("cifar-10/cifar-10-batches-bin", BINARY_TRAINING, BINARY_TEST),
        Layout("cifar-10-batches-bin", BINARY_TRAINING, BINARY_TEST),
        Layout("cifar-10/cifar-10-batches-py", PYTHON_TRAINING, PYTHON_TEST),
        Layout("cifar-10-batches-py", PYTHON_TRAINING, PYTHON_TEST),
    ),
    (
        Published(
            "cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            (
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
            ),
            BINARY_TRAINING + BINARY_TEST,
            archive=True,
        ),
    ),
    read_training,
    read_test,
)
