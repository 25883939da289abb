"""Answers of a source → a folder of Parquet files, one for each group: what is there is whole, and is not done again.

Each part says in its metadata which model answered which content. A folder that holds the answers of another one is
refused, so that no mixture can arise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from binarynet.atomic import replacing
from binarynet.errors import InputError
from binarynet.format import to_bytes
from binarynet.scale.score import ERROR, Scorer
from binarynet.scale.sources import Source

_KEY = b"binarynet"
_ROWS = 16_384  # that are written together


@dataclass
class Done:
    """What became of a run."""

    rows: int = 0  # answered now
    found: int = 0  # answered before
    wrong: int = 0  # of both, images that could not be read
    first_error: str = ""


def answer_all(source: Source, scorer: Scorer, out: Path, progress: Callable[[int], None] = lambda rows: None) -> Done:
    """Answer every group of a source that ``out`` has no part of. ``progress`` is told of rows that are done.

    Raises:
        InputError: the folder holds something else, or a group cannot be read; parts before it stay.
        OSError: a part cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = hashlib.sha256(to_bytes(scorer.session.graph)).hexdigest()
    known = {file.name for file in out.iterdir() if not file.name.startswith(".")}
    if known and not source.resumable:
        raise InputError(f"{out} is not empty, and a stream cannot go on where it was: name another folder")
    done = Done()
    for number, rows, batches in source.groups():
        part = out / f"part-{number:06d}.parquet"
        about: dict[str, object] = {
            "model": model,
            "source": source.identity,
            "group": number,
            "rows": rows,
            "background": scorer.background,
        }
        if part.name in known:
            _must_be(part, about)
            done.found += rows or 0
            done.wrong += _errors(part, done)
            progress(rows or 0)
            continue
        _write(part, about, batches, scorer, done, progress)
    return done


def _write(
    part: Path,
    about: dict[str, object],
    batches: Iterator[pa.Table],
    scorer: Scorer,
    done: Done,
    progress: Callable[[int], None],
) -> None:
    metadata = {_KEY: json.dumps(about)}
    with replacing(part) as file:
        writer: pq.ParquetWriter | None = None
        try:
            for table in _together(map(scorer, batches)):
                table = table.replace_schema_metadata(metadata)
                writer = writer or pq.ParquetWriter(file, table.schema)
                writer.write_table(table)
                _count(table, done)
                done.rows += len(table)
                progress(len(table))
        finally:
            if writer is not None:
                writer.close()
        if writer is None:  # a group of no rows
            pq.write_table(scorer.schema.empty_table().replace_schema_metadata(metadata), file)


def _together(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables of a few rows as tables of many, since each that is written costs some bytes of its own."""
    kept: list[pa.Table] = []
    for table in tables:
        kept.append(table)
        if sum(map(len, kept)) >= _ROWS:
            yield pa.concat_tables(kept).combine_chunks()
            kept = []
    if kept:
        yield pa.concat_tables(kept).combine_chunks()


def _count(table: pa.Table, done: Done) -> None:
    errors = table.column(ERROR).drop_null()
    done.wrong += len(errors)
    if len(errors) and not done.first_error:
        done.first_error = str(errors[0])


def _errors(part: Path, done: Done) -> int:
    before = done.wrong
    _count(pq.read_table(part, columns=[ERROR]), done)
    found, done.wrong = done.wrong - before, before
    return found


def _must_be(part: Path, about: dict[str, object]) -> None:
    """Is a part that is there the one that would be written?"""
    try:
        said = json.loads((pq.read_schema(part).metadata or {}).get(_KEY, b"null"))
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{part}: not a part of this run: {error}") from None
    if said != about:
        other = [
            name
            for name in ("model", "source", "background")
            if not isinstance(said, dict) or said.get(name) != about[name]
        ]
        raise InputError(f"{part}: answers of another {' and '.join(other) or 'run'}: name another folder")
