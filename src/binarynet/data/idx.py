"""The IDX format, and the MNIST family that is published in it: MNIST, Fashion-MNIST, KMNIST.

IDX (Y. LeCun, "The MNIST database of handwritten digits"): two zero bytes, a type code, the number of
dimensions, then each dimension as a big-endian 32-bit integer, then the values, big-endian, last dimension
fastest.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from binarynet.atomic import write
from binarynet.data.dataset import Split, hold_out, labelled
from binarynet.data.files import read_bytes
from binarynet.data.source import Layout, Published, Source
from binarynet.errors import DataError, takes

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMENSIONS = 32  # the format has room for 255, numpy 1 for 32
IMAGES_MAGIC, LABELS_MAGIC = 0x00000803, 0x00000801  # unsigned bytes in three dimensions, in one

# 60,000 training images: the papers hold out the last 10,000 for validation.
HELD_OUT_PART = 6


@takes(path=(str | os.PathLike, "the path of a file"))
def read_idx(path: Path | str, magic: int | None = None) -> np.ndarray:
    """The array in an IDX file, plain or gzip-compressed, in the machine's byte order.

    magic: the magic number the file must have, such as `IMAGES_MAGIC`; None takes any valid one.

    Raises `DataError` for a wrong magic number and for a file shorter or longer than its header says.
    """
    path = Path(path)
    content = read_bytes(path)
    if len(content) < 4:
        raise DataError(f"{path} is truncated: {len(content)} bytes are no IDX header. Fetch it again.")
    zeros, code, rank = struct.unpack(">HBB", content[:4])
    found = int.from_bytes(content[:4], "big")
    if zeros or code not in TYPES or (magic is not None and found != magic):
        expected = "an IDX file" if magic is None else f"0x{magic:08x}"
        raise DataError(
            f"{path}: wrong magic number 0x{found:08x}, expected {expected}. It is not the file its name "
            f"says: fetch it again."
        )
    if rank > MOST_DIMENSIONS:
        raise DataError(f"{path}: {rank} dimensions, at most {MOST_DIMENSIONS} are read. Fetch it again.")
    start = 4 + 4 * rank
    if len(content) < start:
        raise DataError(f"{path} is truncated: {len(content)} bytes, its header alone has {start}. Fetch it again.")
    shape = struct.unpack(f">{rank}I", content[4:start])
    dtype = np.dtype(TYPES[code])
    size = start + math.prod(shape) * dtype.itemsize
    if len(content) != size:
        state = "truncated" if len(content) < size else "too long"
        raise DataError(f"{path} is {state}: {len(content)} bytes, its header says {size}. Fetch it again.")
    try:
        values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    except ValueError:  # one size is 0, and the others have a product that numpy cannot hold
        raise DataError(f"{path}: the shape {shape} holds no values. Fetch it again.") from None
    return values.astype(dtype.newbyteorder("="))  # a copy: writable, as torch.from_numpy wants it


@takes(path=(str | os.PathLike, "the path of a file"), values=(np.ndarray, "an array"))
def write_idx(path: Path | str, values: np.ndarray) -> None:
    """Write an array as an IDX file, gzip-compressed if the name ends in `.gz`. Same array → same bytes.

    Raises `DataError` for a type IDX does not have, more than 32 dimensions or one of 2^32 or more.
    """
    path = Path(path)
    codes = {np.dtype(text).newbyteorder("=").str: code for code, text in TYPES.items()}
    code = codes.get(values.dtype.newbyteorder("=").str)
    if code is None:
        raise DataError(f"{path}: IDX has no type for {values.dtype}; it has u1, i1, i2, i4, f4 and f8")
    if values.ndim > MOST_DIMENSIONS or any(length >= 2**32 for length in values.shape):
        raise DataError(f"{path}: IDX cannot hold the shape {values.shape}")
    header = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
    content = header + values.astype(np.dtype(TYPES[code])).tobytes()
    write(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_family(paths: Sequence[Path], classes: tuple[str, ...]) -> Split:
    """Images and labels of one of the sets below, from their two files → (n, 1, 28, 28)."""
    images_path, labels_path = paths
    images, labels = read_idx(images_path, IMAGES_MAGIC), read_idx(labels_path, LABELS_MAGIC)
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise DataError(f"{images_path} holds images of {height}×{width}; the MNIST family has 28×28.")
    return labelled(images[:, None], labels, classes, images_path, labels_path)


def read_family_training(paths: Sequence[Path], classes: tuple[str, ...]) -> tuple[Split, Split]:
    """The training files, cut in (train, validation): 50,000 and the last 10,000 of the official 60,000."""
    return hold_out(read_family(paths, classes), HELD_OUT_PART, paths[0])


TRAINING = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _family(
    name: str, torchvision_folder: str, classes: Sequence[str], mirrors: Sequence[str], sha256: Sequence[str]
) -> Source:
    """sha256: of the `.gz` files, in the order train images, train labels, test images, test labels."""
    published = tuple(
        Published(f"{file}.gz", digest, tuple(f"{mirror}/{file}.gz" for mirror in mirrors), (file,))
        for file, digest in zip(TRAINING + TEST, sha256, strict=True)
    )
    return Source(
        name,
        tuple(classes),
        (Layout(name, TRAINING, TEST, gz=True), Layout(torchvision_folder, TRAINING, TEST, gz=True)),
        published,
        partial(read_family_training, classes=tuple(classes)),
        partial(read_family, classes=tuple(classes)),
    )


# Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.
MNIST = _family(
    "mnist",
    "MNIST/raw",
    [str(digit) for digit in range(10)],
    ["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
    [
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ],
)

# H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset…", arXiv 1708.07747.
FASHION_MNIST = _family(
    "fashion-mnist",
    "FashionMNIST/raw",
    [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    ],
    [
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ],
)

# T. Clanuwat et al., "Deep Learning for Classical Japanese Literature", arXiv 1812.01718.
KMNIST = _family(
    "kmnist",
    "KMNIST/raw",
    ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    ["http://codh.rois.ac.jp/kmnist/dataset/kmnist", "https://codh.rois.ac.jp/kmnist/dataset/kmnist"],
    [
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ],
)
