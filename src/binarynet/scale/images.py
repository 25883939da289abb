"""A column of a table → images. What a column may hold:

| column                                   | is                                                                    |
|------------------------------------------|-----------------------------------------------------------------------|
| binary, each as long as the model's input | codes, in the order height, width, channels                          |
| binary of other lengths                  | picture files, such as PNG and JPEG                                   |
| struct with `bytes`                      | picture files, as Hugging Face's datasets store them                  |
| lists of whole numbers, nested or not    | codes; of an f32 model, of reals                                      |
| tensors (arrow.fixed_shape_tensor, Ray's) | the same                                                             |

A row that cannot be read does not stop the others: it has an error instead of a class.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from binarynet.data.pictures import Background
from binarynet.data.shown import Shown
from binarynet.errors import InputError
from binarynet.runtime import Session

NAMES = ("image", "images", "pixels", "img", "data")


def column_of(schema: pa.Schema, wanted: str | None) -> str:
    """The column that holds the images: the one asked for, else the first of `NAMES`, else the only one that can."""
    names = [name for name in schema.names if holds_images(schema.field(name).type)]
    if wanted is not None:
        if wanted not in schema.names:
            raise InputError(f"there is no column {wanted!r}; there are {', '.join(schema.names)}")
        if wanted not in names:
            raise InputError(f"the column {wanted!r} is {schema.field(wanted).type}, which holds no images")
        return wanted
    found = [name for name in NAMES if name in names] or (names if len(names) == 1 else [])
    if not found:
        held = ", ".join(names) or "none"
        raise InputError(f"which column holds the images? Give --column; that can be: {held}")
    return found[0]


def holds_images(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return _is_binary(kind) or (_is_list(kind) and _is_number(_innermost(kind)))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _innermost(kind: pa.DataType) -> pa.DataType:
    while _is_list(kind):
        kind = kind.value_type
    return kind


class Reader:
    """Reads columns of images for one session."""

    def __init__(self, session: Session, background: Background | None = None) -> None:
        self.shape, self._meta, self._background = session.input_shape, session.graph.meta, background
        self._real = session.graph.input.encoding == "f32"
        self._numbers = prod(self.shape)

    def read(self, column: pa.Array) -> tuple[NDArray[Any], list[str | None]]:
        """Images (n, …) in a shape that `Session.logits` takes, and for each row why it is none, or None.

        Raises `InputError` where the whole column is of a kind that the model does not take.
        """
        if isinstance(column, pa.ExtensionArray):
            return self.read(column.storage)
        if pa.types.is_struct(column.type):
            if column.type.get_field_index("bytes") < 0:
                raise InputError(f"a column of {column.type} holds no images")
            bytes_of, paths = column.field("bytes"), None
            if column.type.get_field_index("path") >= 0:
                paths = column.field("path").to_pylist()
            return self._pictures(bytes_of.to_pylist(), paths)
        if _is_binary(column.type):
            return self._binary(column)
        return self._lists(column)

    def _binary(self, column: pa.Array) -> tuple[NDArray[Any], list[str | None]]:
        values = column.to_pylist()
        size = self._numbers * (4 if self._real else 1)
        if not all(value is not None and len(value) == size for value in values):
            return self._pictures(values, None)
        codes = np.frombuffer(b"".join(values), np.dtype("<f4") if self._real else np.uint8)
        return codes.reshape(len(values), *self.shape), [None] * len(values)

    def _pictures(self, values: list[Any], paths: list[Any] | None) -> tuple[NDArray[Any], list[str | None]]:
        """Picture files, decoded and brought to the model's size."""
        if self._real:
            raise InputError("the model takes real numbers (f32), which no picture file has: store them as lists")
        shown = Shown.to(self.shape, self._meta, self._background)
        images = np.zeros((len(values), *shown.shape), np.uint8)
        errors: list[str | None] = [None] * len(values)
        for index, value in enumerate(values):
            name = Path(str(paths[index])) if paths and paths[index] else Path("the picture")
            try:
                if value is None:
                    raise InputError("the row holds no image")
                images[index] = shown.read(name, bytes(value))[0][0]
            except InputError as error:
                errors[index] = str(error)
        return images, errors

    def _lists(self, column: pa.Array) -> tuple[NDArray[Any], list[str | None]]:
        rows, inner = len(column), []
        errors: list[str | None] = [None] * rows
        if column.null_count:
            raise InputError(f"{column.null_count} rows hold no image")
        while _is_list(column.type):
            before = len(column)
            column = column.flatten()
            if column.null_count or (before and len(column) % before):
                raise InputError("the lists of the column are not all equally long")
            inner.append(len(column) // before if before else 1)
        if not _is_number(column.type):
            raise InputError(f"a column of lists of {column.type} holds no images")
        if rows and prod(inner) != self._numbers:
            raise InputError(
                f"the column's images have {' × '.join(map(str, inner))} numbers; the model takes {self.shape}"
            )
        numbers = column.to_numpy(zero_copy_only=False)
        if numbers.dtype.kind == "f" and not self._real:
            raise InputError("the column holds reals, and a few rows do not say what 1.0 means: store bytes")
        shape = inner if len(inner) > 1 else self.shape
        return numbers.reshape(rows, *(shape if rows else self.shape)), errors
