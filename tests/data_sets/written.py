"""Small data sets in the official file formats, written for one test each."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
from scipy.io import savemat

from binarynet.data import write_idx


def random_images(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def write_mnist(folder: Path, n_train: int = 12, n_test: int = 5, gz: bool = True) -> None:
    """The four IDX files of the MNIST family; image k is filled with the value k, its label is k % 10."""
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".gz" if gz else ""
    for prefix, n in (("train", n_train), ("t10k", n_test)):
        images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None], (n, 28, 28))
        write_idx(folder / f"{prefix}-images-idx3-ubyte{ending}", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{ending}", (np.arange(n) % 10).astype(np.uint8))


def cifar_records(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Images (n, 3, 32, 32) and labels as the binary version has them."""
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


def write_cifar10_binary(folder: Path, per_batch: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Five training batches and the test batch; returns all their images and labels, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = random_images(6 * per_batch, 3, 32, 32), np.arange(6 * per_batch) % 10
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for i, name in enumerate(names):
        part = slice(i * per_batch, (i + 1) * per_batch)
        (folder / name).write_bytes(cifar_records(images[part], labels[part]))
    return images, labels


def cifar_python2_pickle(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The bytes that Python 2's cPickle wrote for the official batches, opcode by opcode (protocol 2)."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)  # BININT

    data = images.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01"
        + number(len(images))
        + number(3072)
        + b"\x86cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNN"
        + number(-1)
        + number(-1)
        + b"K\x00tb\x89T"
        + struct.pack("<I", len(data))
        + data
        + b"tb"
    )
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    fields = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + listed
    names = b"](" + text(b"leptodactylus_pentadactylus_s_000004.png") + b"e"
    return b"\x80\x02}q\x00(" + fields + text(b"data") + array + text(b"filenames") + names + b"u."


def write_cifar10_python(folder: Path, per_batch: int = 4, protocol: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """As `write_cifar10_binary`, as pickles of this Python's protocol."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = random_images(6 * per_batch, 3, 32, 32), np.arange(6 * per_batch) % 10
    for i, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        part = slice(i * per_batch, (i + 1) * per_batch)
        batch = {b"data": images[part].reshape(per_batch, 3072), b"labels": labels[part].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    return images, labels


def write_svhn(folder: Path, train: np.ndarray, extra: np.ndarray, test: np.ndarray) -> None:
    """The three MATLAB files, for these labels 1..10; image k of a file holds k in its first two pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, labels in (("train", train), ("extra", extra), ("test", test)):
        images = np.zeros((32, 32, 3, len(labels)), np.uint8)
        images[0, 0, 0] = np.arange(len(labels)) % 256
        images[0, 1, 0] = np.arange(len(labels)) // 256
        content = {"X": images, "y": labels[:, None].astype(np.uint8)}
        savemat(folder / f"{name}_32x32.mat", content, do_compression=True)
