"""Where many images come from: Parquet files, a folder of pictures, or a stream. A source is read group by group.

A group is what is answered and written together, so that a run that was stopped goes on behind the last that was
written: a row group of a Parquet file, or some files of a folder. In memory there are a few megabytes of it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from binarynet.data.own.pictures import ENDINGS
from binarynet.errors import InputError
from binarynet.scale.images import column_of

PARQUET = {".parquet", ".pq"}
_FILES = 1024  # of a folder, in a group
_ROWS = 1024  # of a batch
_STREAMED = 65_536  # rows of a group of a stream
_LARGEST = 1 << 28  # bytes of an image of a stream, whose header may say anything


class Source(Protocol):
    """``rows``: how many there are, or None; ``identity``: a text that another content changes, or None."""

    rows: int | None
    identity: str | None
    resumable: bool

    def groups(self) -> Iterator[tuple[int, int | None, Iterator[pa.Table]]]:
        """Number of the group, its rows (None: unknown), and its batches, which are read when they are asked for."""


def open_source(path: Path, column: str | None = None) -> Source:
    """Raises `InputError` for what is none, OSError for what cannot be read."""
    if str(path) == "-":
        return Stream(sys.stdin.buffer, column)
    if path.is_dir():
        parquet = sorted(file for file in path.rglob("*") if file.suffix.lower() in PARQUET and file.is_file())
        if column is not None and not parquet:
            raise InputError(f"{path}: a folder of pictures has no column {column!r}: leave --column out")
        return Parquet(parquet, column) if parquet else Folder(path)
    return Parquet([path], column)


class Parquet:
    """One file, or several as one, row group by row group. ``row`` is the place among all rows."""

    resumable = True

    def __init__(self, files: list[Path], column: str | None) -> None:
        self.files, self._column = files, column
        self._sizes: list[list[int]] = []
        seen = hashlib.sha256()
        for file in files:
            opened = self._open(file)
            meta = opened.metadata
            self._sizes.append([meta.row_group(i).num_rows for i in range(meta.num_row_groups)])
            stat = file.stat()
            found = column_of(opened.schema_arrow, column)
            seen.update(repr((file.name, stat.st_size, stat.st_mtime_ns, self._sizes[-1], found)).encode())
        self.rows: int | None = sum(map(sum, self._sizes))
        self.identity: str | None = seen.hexdigest()

    @staticmethod
    def _open(file: Path) -> Any:
        try:
            return pq.ParquetFile(file, memory_map=False, pre_buffer=False)
        except pa.ArrowInvalid as error:
            raise InputError(f"{file}: not a Parquet file: {error}") from None

    def groups(self) -> Iterator[tuple[int, int | None, Iterator[pa.Table]]]:
        number = first = 0
        for file, sizes in zip(self.files, self._sizes, strict=True):
            for group, rows in enumerate(sizes):
                yield number, rows, self._batches(file, group, first)
                number, first = number + 1, first + rows

    def _batches(self, file: Path, group: int, first: int) -> Iterator[pa.Table]:
        opened = self._open(file)
        column = column_of(opened.schema_arrow, self._column)
        try:
            for batch in opened.iter_batches(_ROWS, row_groups=[group], columns=[column], use_threads=False):
                rows = pa.array(np.arange(first, first + len(batch)))
                first += len(batch)
                yield pa.table({"row": rows, "image": batch.column(0)})
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{file}: row group {group} is damaged: {error}") from None


class Folder:
    """The pictures below a folder, in the order of their names. ``file`` is the path from there."""

    resumable = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        if not found:
            raise InputError(f"{folder}: no pictures and no Parquet files are below it")
        self._files = found
        seen = hashlib.sha256()
        for file in found:
            stat = file.stat()
            seen.update(repr((self._name(file), stat.st_size, stat.st_mtime_ns)).encode())
        self.rows: int | None = len(found)
        self.identity: str | None = seen.hexdigest()

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()

    def groups(self) -> Iterator[tuple[int, int | None, Iterator[pa.Table]]]:
        for number, first in enumerate(range(0, len(self._files), _FILES)):
            files = self._files[first : first + _FILES]
            yield number, len(files), self._batches(files)

    def _batches(self, files: list[Path]) -> Iterator[pa.Table]:
        for first in range(0, len(files), 32):
            part = files[first : first + 32]
            pictures = [{"bytes": file.read_bytes(), "path": str(file)} for file in part]
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            yield pa.table({"file": [self._name(file) for file in part], "image": pa.array(pictures, kind)})


@dataclass
class Stream:
    """Standard input: an Arrow IPC stream, or a .npy array. Its end is not known before it comes."""

    file: BinaryIO
    column: str | None = None
    rows: int | None = None
    identity: str | None = None
    resumable: bool = False

    def groups(self) -> Iterator[tuple[int, int | None, Iterator[pa.Table]]]:
        tables = self._tables()
        for number, table in enumerate(tables):
            yield number, None, _some(table, tables, _STREAMED)

    def _tables(self) -> Iterator[pa.Table]:
        begin = self.file.read(6)
        first = 0
        images = self._npy(begin) if begin == b"\x93NUMPY" else self._arrow(begin)
        for image in images:
            yield pa.table({"row": pa.array(np.arange(first, first + len(image))), "image": image})
            first += len(image)

    def _arrow(self, begin: bytes) -> Iterator[pa.Array]:
        try:
            with pa.ipc.open_stream(pa.PythonFile(_Joined(begin, self.file), "r")) as stream:
                column = column_of(stream.schema, self.column)
                for batch in stream:
                    image = batch.column(batch.schema.get_field_index(column))
                    for row in range(0, len(batch), _ROWS):
                        yield image.slice(row, _ROWS)
        except pa.ArrowException as error:
            raise InputError(f"-: neither a whole Arrow stream nor a .npy array: {error}") from None

    def _npy(self, begin: bytes) -> Iterator[pa.Array]:
        file: Any = _Joined(begin, self.file)
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except ValueError as error:
            raise InputError(f"-: not a .npy array: {error}") from None
        size = prod(shape[1:])
        if dtype != np.uint8 or fortran or len(shape) < 2 or not 0 < size <= _LARGEST:
            raise InputError(f"-: an array of {dtype} {shape}; a stream takes uint8 (n, …) in C order, n images")
        step = max(1, min(_ROWS, _LARGEST // size))
        for first in range(0, shape[0], step):
            rows = min(step, shape[0] - first)
            content = file.read(rows * size)
            if len(content) != rows * size:
                raise InputError(f"-: the array ends within image {first + len(content) // max(1, size):,}")
            flat = pa.array(np.frombuffer(content, np.uint8))
            for length in reversed(shape[1:]):
                flat = pa.FixedSizeListArray.from_arrays(flat, length)
            yield flat


class _Joined:
    """What was read already, and then the file."""

    closed = False

    def __init__(self, begin: bytes, file: BinaryIO) -> None:
        self._begin, self._file = begin, file

    def read(self, size: int = -1) -> bytes:
        begin, self._begin = self._begin, b""
        if 0 <= size < len(begin):
            self._begin = begin[size:]
            return begin[:size]
        rest = self._file.read(size if size < 0 else size - len(begin))
        return begin + rest

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def _some(first: pa.Table, rest: Iterator[pa.Table], most: int) -> Iterator[pa.Table]:
    """A table, and those behind it, up to so many rows."""
    rows = len(first)
    yield first
    while rows < most and (table := next(rest, None)) is not None:
        rows += len(table)
        yield table
