"""A table of images in, the same rows with classes and logits out: what runs here, in Ray's actors and in Spark's.

A `Scorer` can be pickled, because its session can: each process builds an engine of its own, with the best instruction
set of its machine.
"""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa

from binarynet.data.pictures import Background
from binarynet.errors import InputError
from binarynet.format import load
from binarynet.models import find
from binarynet.runtime import Session
from binarynet.runtime.images import Layout
from binarynet.scale.images import Reader, column_of

CLASS, NAME, LOGITS, ERROR = "class", "name", "logits", "error"


class Scorer:
    """Called with a table, it answers with one: the other columns as they are, then the answers.

    Args:
        model: a file, a run folder, the name of a model, or a `Session`.
        column: where the images are; None finds it (`column_of`).
        threads: of one call; 1 where a scheduler runs one scorer for each core.
        background: what transparent places of pictures show; None goes by the model's file.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Session,
        column: str | None = None,
        threads: int | None = None,
        background: Background | None = None,
    ) -> None:
        self.session = model if isinstance(model, Session) else Session(load(find(model)), threads=threads)
        self.column = column
        self.background = background
        self._reader = Reader(self.session, background)

    def __call__(self, table: pa.Table) -> pa.Table:
        column = column_of(table.schema, self.column)
        for name in (CLASS, NAME, LOGITS, ERROR):
            if name in table.schema.names:
                table = table.drop_columns([name]) if name != column else table
        parts = [self.answers(chunk) for chunk in table.column(column).chunks]
        answers = pa.Table.from_batches(parts, self.schema)
        table = table.drop_columns([column])
        for name in self.schema.names:
            table = table.append_column(self.schema.field(name), answers.column(name))
        return table

    @property
    def schema(self) -> pa.Schema:
        """Of the answers: class, name, logits, and an error where a row's image cannot be read."""
        numbers = int(np.prod(self.session.output_shape))
        kind = pa.float32() if self._is_real() else pa.int32()
        fields = [(CLASS, pa.int64()), (NAME, pa.string()), (LOGITS, pa.list_(kind, numbers)), (ERROR, pa.string())]
        return pa.schema(fields)

    def _is_real(self) -> bool:
        empty = np.zeros((0, *self.session.input_shape), np.float32 if self._takes_reals() else np.uint8)
        return self.session.logits(empty).dtype == np.float32

    def _takes_reals(self) -> bool:
        return self.session.graph.input.encoding == "f32"

    def answers(self, column: pa.Array) -> pa.RecordBatch:
        """Of one array of images. Raises `InputError` where none of it can be read."""
        images, errors = self._reader.read(column)
        layout: Layout | None = "nhwc" if images.ndim == 4 and images.shape[1:] == self.session.input_shape else None
        try:
            logits = self.session.logits(images, layout=layout)
        except InputError as error:
            raise InputError(f"the column of images: {error}") from None
        flat = logits.reshape(len(logits), -1)
        classes = flat.argmax(axis=1)
        wrong = np.array([error is not None for error in errors], bool)
        named = self.session.classes
        names = [None if bad else named[i] if named else str(i) for i, bad in zip(classes.tolist(), wrong, strict=True)]
        values = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1], mask=pa.array(wrong))
        return pa.RecordBatch.from_arrays(
            [
                pa.array(classes, pa.int64(), mask=wrong),
                pa.array(names, pa.string()),
                values,
                pa.array(errors, pa.string()),
            ],
            schema=self.schema,
        )
