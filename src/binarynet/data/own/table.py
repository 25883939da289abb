"""CSV → a pile: a row of bytes for each image (as MNIST is often passed on), or a list of picture files.

A header names the columns. The label stands under ``label``, ``class``, ``target`` or ``y``.
A column ``file``, ``path``, ``image`` or ``filename`` makes it a list of pictures, which lie in the folder of the table
or below; otherwise all other columns are the numbers 0 … 255 of the image, row by row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binarynet.data.own.arrays import pile_of
from binarynet.data.own.pictures import Files, Frame, pile_of_pictures
from binarynet.data.own.pile import Pile
from binarynet.data.own.values import Layout, Shape
from binarynet.data.pictures import Background
from binarynet.errors import DataError

_LABEL, _FILE = ("label", "class", "target", "y"), ("file", "path", "image", "filename")
_BLOCK = 1024  # rows


def read_csv(
    path: Path, layout: Layout | None = None, shape: Shape | None = None, background: Background | None = None
) -> Pile:
    """The images of one table. `DataError`, naming the line, for one that is no row of such a table."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(rows, [])]
            label = next((header.index(name) for name in _LABEL if name in header), None)
            listed = next((header.index(name) for name in _FILE if name in header), None)
            if all(_is_number(text) for text in header):
                raise DataError(f"{path}: the first line holds numbers; let it name the columns: label,p0,p1,…")
            if label is None:
                raise DataError(f"{path}: no column is called {', '.join(_LABEL)}: name the one with the labels so")
            if listed is not None:
                return _list_of_pictures(path, rows, header, listed, label, shape, background)
            return _rows_of_bytes(path, rows, header, label, layout, shape)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV file: {error}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(path: Path, rows: Iterator[list[str]], header: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, its cells), of lines that hold anything."""
    for number, row in enumerate(rows, 2):
        if row and len(row) != len(header):
            raise DataError(f"{path}, row {number}: {len(row)} columns, where the header has {len(header)}")
        if row:
            yield number, row


def _list_of_pictures(
    path: Path,
    rows: Iterator[list[str]],
    header: list[str],
    listed: int,
    label: int,
    shape: Shape | None,
    background: Background | None,
) -> Pile:
    files, labels = [], []
    for number, row in _lines(path, rows, header):
        name = Path(row[listed])
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"{path}, row {number}: {row[listed]!r} is not below the folder of the table")
        files.append(path.parent / name)
        labels.append(row[label].strip())
    return pile_of_pictures(Files(files, background), labels, str(path), Frame(shape))


def _rows_of_bytes(
    path: Path, rows: Iterator[list[str]], header: list[str], label: int, layout: Layout | None, shape: Shape | None
) -> Pile:
    if len(header) < 2:
        raise DataError(f"{path}: one column alone; needed are a label and the pixels, or a file and its label")
    blocks: list[NDArray[np.uint8]] = []
    block: list[NDArray[np.uint8]] = []
    labels: list[str] = []
    for number, row in _lines(path, rows, header):
        labels.append(row.pop(label).strip())
        block.append(_bytes(path, number, row))
        if len(block) == _BLOCK:
            blocks.append(np.stack(block))
            block = []
    if not labels:
        raise DataError(f"{path} holds no images")
    images = np.concatenate([*blocks, np.stack(block)] if block else blocks)
    texts = np.array(labels, np.str_)
    whole = np.char.isdecimal(texts).all() and max(map(len, labels)) < 10
    if shape is None and isqrt(images.shape[1]) ** 2 != images.shape[1] and images.shape[1] % 3 == 0:
        raise DataError(f"{path}: {images.shape[1]} pixels an image are no grey square: give --shape or shape=")
    return pile_of(images, texts.astype(np.int64) if whole else texts, str(path), layout, shape)


def _bytes(path: Path, number: int, row: list[str]) -> NDArray[np.uint8]:
    try:
        values = np.array(row, np.float64)
    except ValueError as error:
        raise DataError(f"{path}, row {number}: {error}") from None
    wrong = np.flatnonzero(~((values >= 0) & (values <= 255) & (values == np.rint(values))))
    if len(wrong):
        raise DataError(f"{path}, row {number}: {row[wrong[0]]!r} is none of the bytes 0 … 255")
    return values.astype(np.uint8)
