"""Mutated files of data sets, and images to classify: IDX, CIFAR-10's pickles and records, SVHN's .mat, .npy, pictures.

Read, or refused by an error of this package.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from binarynet.cli.run import parts
from binarynet.data import cifar10, read_idx
from binarynet.data.pictures import read_picture
from binarynet.data.svhn import read_images, read_labels
from binarynet.errors import DataError, InputError
from binarynet.graph import Encoding
from binarynet.runtime.images import adapt
from tests.data_sets.written import cifar_python2_pickle, cifar_records, random_images
from tests.fuzz.mutate import cut, flipped
from tests.fuzz.target import Target, refused


def _idx(random: Random) -> bytes:
    """A file whose header says what its values are, or lies."""
    rank = random.choice((0, 1, 1, 2, 3, 3, 3, 4, 33, 65, 255))
    sizes = [random.choice((0, 1, 2, 3, 5, 28, 2**16, 2**32 - 1)) if random.random() < 0.3 else 2 for _ in range(rank)]
    code = random.choice((8, 8, 8, 9, 11, 12, 13, 14, 10, 0, 255))
    length = {11: 2, 12: 4, 13: 4, 14: 8}.get(code, 1)
    count = length
    for size in sizes:
        count = min(count * size, 4096)
    return struct.pack(f">HBB{rank}I", 0, code, rank, *sizes) + random.randbytes(count)


@cache
def _pickles() -> list[bytes]:
    images, labels = random_images(3, 3, 32, 32), np.array([1, 9, 0])
    batch = {"data": images.reshape(3, 3072), "labels": labels.tolist(), "filenames": ["a", "b", "c"]}
    return [cifar_python2_pickle(images, labels), *(pickle.dumps(batch, protocol=p) for p in range(6))]


BYTES = Encoding.parse("b8")
INSTRUCTIONS = b"(0123NIJKMUTVX})]aeusdtlbRch\x85\x86\x87q\x01h\x01\x8f\x90\x91\x8cC."  # of pickles


def _pickle(random: Random) -> bytes:
    """The instructions of a batch, the pixels mostly left alone, with others put between."""
    whole = random.choice(_pickles())
    if random.random() < 0.5:
        at = random.choice((random.randrange(min(260, len(whole))), len(whole) - random.randrange(1, 60)))
        extra = bytes(
            random.choice(b"(0123NIJKMUTVX})]aeusdtlbRch\x85\x86\x87q\x01h\x01\x8f\x90\x91\x8cC.") for _ in range(9)
        )
        return whole[:at] + extra[: random.randint(1, 9)] + whole[at + random.choice((0, 0, 1, 3)) :]
    head, tail = whole[:260], whole[260:]
    return flipped(head, random) + (flipped(tail[-80:], random) if random.random() < 0.3 else tail)


def _records(random: Random) -> bytes:
    images, labels = random_images(2, 3, 32, 32), np.array([1, 9])
    return flipped(cifar_records(images, labels), random)


@cache
def _mats() -> list[bytes]:
    from scipy.io import savemat

    made = []
    for compressed in (True, False):
        for images in (1, 2):
            file = io.BytesIO()
            content = {"s": "text", "X": random_images(32, 32, 3, images), "y": np.ones((images, 1), np.uint8)}
            savemat(file, content, do_compression=compressed)
            made.append(file.getvalue())
    return made


def _mat(random: Random) -> bytes:
    """The elements of a file changed inside their compression, which is made right again, or as bytes."""
    whole = random.choice(_mats())
    if random.random() < 0.4:
        return flipped(whole[:400], random) + whole[400:]
    made, at = whole[:128], 128
    while at < len(whole):
        kind, size = struct.unpack("<II", whole[at : at + 8])
        content = whole[at + 8 : at + 8 + size]
        if kind == 15:
            inner = zlib.decompress(content)
            inner = flipped(inner[:96], random) + inner[96:] if random.random() < 0.6 else inner
            inner = flipped(inner, random) if random.random() < 0.1 else inner
            content = zlib.compress(inner, 1)
        elif random.random() < 0.6:
            content = flipped(content[:96], random) + content[96:]
        made += struct.pack("<II", kind, len(content) if random.random() < 0.95 else size + 1) + content
        at += 8 + size
    return made


@cache
def _arrays() -> list[bytes]:
    made = []
    shapes: tuple[tuple[int, ...], ...] = ((2, 64), (1, 8, 8), (64,), (0, 64), ())
    for dtype in ("u1", "?", "<f4", ">i2", "f2", "c8", "U3", "M8[s]"):
        for shape in shapes:
            file = io.BytesIO()
            np.save(file, np.zeros(shape, dtype))
            made.append(file.getvalue())
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return [*made, file.getvalue()]


def _npy(random: Random) -> bytes:
    """The header changed as the Python text that it is, and where it says how long it is."""
    whole = random.choice(_arrays())
    if random.random() < 0.3:
        return flipped(whole[:128], random) + whole[128:]
    words = (b"64", b"2", b"descr", b"shape", b"False", b"|u1", b"(", b")", b"'", b",", b"{")
    others = (b"-1", b"0", b"1e9", b"9" * 30, b"2**70", b"None", b"True", b"|O", b"((", b"[]", b"x", b"", b"'", b"\0")
    head = whole[10:128].replace(random.choice(words), random.choice(others), random.choice((1, 1, 9)))
    size = len(head) if random.random() < 0.8 else random.choice((0, 1, 117, 2**16 - 1))
    return whole[:8] + struct.pack("<H", size) + head + whole[128:]


@cache
def _pictures() -> list[bytes]:
    from PIL import Image

    made = []
    colours = random_images(1, 8, 8, 4)[0]
    for mode, pixels in (("L", colours[..., 0]), ("RGB", colours[..., :3]), ("RGBA", colours)):
        for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
            if mode == "RGBA" and kind in ("JPEG", "PPM"):
                continue
            file = io.BytesIO()
            Image.fromarray(pixels, mode if mode != "RGB" else None).save(file, kind)
            made.append(file.getvalue())
    return made


def _picture(random: Random) -> bytes:
    return flipped(random.choice(_pictures()), random, 6)


def _made(kind: Callable[[Random], bytes]) -> Callable[[Random], tuple[str, bytes]]:
    def make(random: Random) -> tuple[str, bytes]:
        content = kind(random)
        how = random.randrange(20)
        if how == 0:
            return "cut", cut(content, random)
        if how == 1:
            return "bytes", flipped(content, random)
        if how == 2:
            return "compressed", gzip.compress(content, 1, mtime=0)
        if how == 3:
            return "compressed, bytes", flipped(gzip.compress(content, 1, mtime=0), random)
        return "structure", content

    return make


def _attempt(name: str, read: Callable[[Path], None]) -> Callable[[bytes, Path], str]:
    def attempt(content: bytes, folder: Path) -> str:
        path = folder / name
        path.write_bytes(content)
        try:
            read(path)
        except (DataError, InputError) as error:
            return refused(error, name if isinstance(error, DataError) else "")
        return "read"

    return attempt


def _read_idx(path: Path) -> None:
    assert read_idx(path).dtype.isnative


def _read_batch(path: Path) -> None:
    batch = cifar10.read_batch(path)
    assert batch.images.shape == (len(batch), 3, 32, 32)
    assert batch.labels.min() >= 0
    assert batch.labels.max() <= 9


def _read_npy(path: Path) -> None:
    for piece in parts(path, (64,)):
        assert adapt(piece.images, (64,), BYTES).shape == (len(piece.images), 64)


def _read_picture_file(path: Path) -> None:
    for channels in (1, 3):
        assert read_picture(path, 8, 8, channels)[0].shape == (1, channels, 8, 8)


def _read_svhn(path: Path) -> None:
    assert read_labels(path).ndim == 1
    assert read_images(path).shape[:3] == (32, 32, 3)


TARGETS = (
    Target("idx", _made(_idx), _attempt("idx", _read_idx)),
    Target("pickle", _made(_pickle), _attempt("data_batch_1", _read_batch)),
    Target("records", _made(_records), _attempt("data_batch_1.bin", _read_batch)),
    Target("npy", _made(_npy), _attempt("images.npy", _read_npy)),
    Target("picture", _made(_picture), _attempt("picture", _read_picture_file)),
    Target("mat", _made(_mat), _attempt("test_32x32.mat", _read_svhn)),
)
