"""One array of numbers out of a MATLAB file (Level 5, which is what SVHN comes in), every size checked before use.

MAT-File Format, The MathWorks, R2021a, chapter 1. A file is a header of 128 bytes and elements: a tag of 8 bytes
(type, length) and its content. An element is a matrix, or a zlib stream that holds one::

    matrix = flags (class, complex …) · dimensions (int32) · name (int8) · values, last dimension slowest

A short element packs type, length and up to four bytes of content into 8. scipy reads these files by code that one
changed byte sends into memory that is not its own; this reads what SVHN has and refuses the rest.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from binarynet.errors import DataError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_INT8, _INT32, _UINT32 = 1, 5, 6
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = range(6, 16)  # of the matrices that hold numbers: double … uint64
_COMPLEX = 0x0800
_AT_ONCE = 1 << 20
_RATIO = 1032  # zlib makes at most so many bytes of one


def read(path: Path, name: str, most: int) -> np.ndarray | None:
    """The array called ``name``, of the type in which it is stored; None if there is none.

    Others are skipped, not decompressed.

    Raises `DataError` if the file is truncated or damaged, no MATLAB file, or ``name`` is no array of numbers or has
    more than ``most``.
    """
    try:
        with open(path, "rb") as file:
            end = file.seek(0, 2)
            file.seek(0)
            order = _byte_order(_exactly(file, _HEADER))
            while file.tell() < end:
                kind, size = _tag(_exactly(file, 8), order)
                start = file.tell()
                if size > end - start:
                    raise DataError(f"is truncated: an element of {size} bytes has {end - start}")
                if kind in (_MATRIX, _COMPRESSED):
                    content = _Inflated(file, size) if kind == _COMPRESSED else _Plain(file, size)
                    found = _matrix(content, name, most, order, size if kind == _MATRIX else size * _RATIO)
                    if found is not None:
                        content.finish()
                        return found
                file.seek(start + size)
    except DataError as error:
        raise DataError(f"{path} {error}. Fetch it again.") from None
    except zlib.error as error:
        raise DataError(f"{path} is damaged: {error}. Fetch it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return None


def _byte_order(header: bytes) -> str:
    orders = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version 1.0, and how the writer stored two letters
    if header[124:] not in orders:
        raise DataError("is damaged or no MATLAB file of Level 5")
    return orders[header[124:]]


def _exactly(file: IO[bytes], count: int) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise DataError("is truncated, or no MATLAB file")
    return found


class _Plain:
    """The bytes of an element as they stand in the file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def some(self, count: int) -> bytes | memoryview:
        """At least one byte, and at most so many."""
        count = min(count, self._left, _AT_ONCE)
        if not count:
            raise DataError("is damaged: an element is longer than what it stands in")
        self._left -= count
        return _exactly(self._file, count)

    def read(self, count: int) -> bytes:
        """Exactly so many."""
        found = b""
        while len(found) < count:
            found += self.some(count - len(found))
        return found

    def finish(self) -> None:
        """Nothing guards what is not compressed."""


class _Inflated(_Plain):
    """The bytes that a zlib stream stands for, a megabyte at a time."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(file, size)
        self._stream, self._ready = zlib.decompressobj(), memoryview(b"")

    def some(self, count: int) -> bytes | memoryview:
        if not self._more():
            raise DataError("is truncated: its compressed stream ends early")
        part, self._ready = self._ready[:count], self._ready[count:]
        return part

    def _more(self) -> bool:
        """Decompress on, if nothing is ready; False where the stream has ended."""
        while not self._ready and not self._stream.eof:
            data = self._stream.unconsumed_tail
            if not data and not self._left:
                return False
            self._ready = memoryview(self._stream.decompress(data or super().some(_AT_ONCE), _AT_ONCE))
        return bool(self._ready)

    def finish(self) -> None:
        """To the end of the stream, where zlib compares its checksum: only then is what was read undamaged."""
        if self._more() or not self._stream.eof:
            raise DataError("is damaged: its compressed stream does not end where the array does")


def _tag(head: bytes, order: str) -> tuple[int, int]:
    kind, size = np.frombuffer(head, f"{order}u4").tolist()
    return kind, size


def _element(content: _Plain, order: str, most: int) -> tuple[int, bytes]:
    """Type and bytes of a part of a matrix that has at most so many; what fills it up to 8 is read, too."""
    head = content.read(8)
    kind, size = _tag(head, order)
    if kind >> 16:
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise DataError("is damaged: a short element is too long")
        return kind, head[4 : 4 + size]
    if size > most:
        raise DataError(f"is damaged or no file of this set: a part of {size} bytes, at most {most} are expected")
    found = content.read(size)
    content.read(-size % 8)
    return kind, found


def _matrix(content: _Plain, name: str, most: int, order: str, possible: int) -> np.ndarray | None:
    """The values of a matrix if it has that name. ``possible``: bytes that its element can hold."""
    if isinstance(content, _Inflated) and _tag(content.read(8), order)[0] != _MATRIX:
        raise DataError("is damaged: a compressed element is no matrix")
    kind, flags = _element(content, order, 8)
    if kind != _UINT32 or len(flags) != 8:
        raise DataError("is damaged: a matrix begins without its flags")
    kind, sizes = _element(content, order, 4 * 32)
    if kind != _INT32 or len(sizes) < 8 or len(sizes) % 4:
        raise DataError("is damaged: a matrix has no dimensions")
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    kind, called = _element(content, order, 256)
    if kind != _INT8:
        raise DataError("is damaged: a matrix has no name")
    if called.rstrip(b"\0") != name.encode():
        return None
    about = int(np.frombuffer(flags[:4], f"{order}u4")[0])
    if about & 0xFF not in _CLASSES or about & _COMPLEX:
        raise DataError(f"is no file of this set: {name} is no array of real numbers")
    if min(shape) < 0 or math.prod(shape) > most:
        raise DataError(f"is damaged or no file of this set: {name} has the shape {shape}")
    return _values(content, name, shape, order, possible)


def _values(content: _Plain, name: str, shape: tuple[int, ...], order: str, possible: int) -> np.ndarray:
    head = content.read(8)
    kind, size = _tag(head, order)
    short = kind >> 16
    if short:
        kind, size = kind & 0xFFFF, kind >> 16
    if kind not in _NUMBERS:
        raise DataError(f"is damaged: {name} has values of the unknown type {kind}")
    dtype = np.dtype(order + _NUMBERS[kind])
    if size != math.prod(shape) * dtype.itemsize or size > possible:
        raise DataError(f"is damaged: {name} has the shape {shape} and {size} bytes")
    if short:
        if size > 4:
            raise DataError("is damaged: a short element is too long")
        values = np.frombuffer(head[4 : 4 + size], dtype).copy()
    else:
        values = np.empty(size // dtype.itemsize, dtype)
        room, start = values.view(np.uint8), 0
        while start < size:
            part = content.some(size - start)
            room[start : start + len(part)] = np.frombuffer(part, np.uint8)
            start += len(part)
        content.read(-size % 8)
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F")
