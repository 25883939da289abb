"""What ``binarynet run`` does with folders, Parquet files and streams: by pyarrow, group by group, with a bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from binarynet.cli.printing import fail
from binarynet.data.lazy import need
from binarynet.errors import InputError, printable


def is_many(path: Path) -> bool:
    """Is this more than a file of images: a folder, Parquet, or standard input?"""
    return str(path) == "-" or path.is_dir() or path.suffix.lower() in (".parquet", ".pq")


def run_many(session: Any, path: Path, out: Path | None, column: str | None, background: Any, as_json: bool) -> int:
    """Answer a source, into a folder or a line an image; the exit code."""
    need("pyarrow", "'binarynet[scale]'", "reading a folder, Parquet or a stream")  # the other inputs are answered
    from binarynet.scale import Scorer, answer_all, open_source

    source, scorer = open_source(path, column), Scorer(session, background=background)
    with _bar(source.rows, out is not None) as progress:
        if out is None:
            return _print(path, source, scorer, as_json)
        done = answer_all(source, scorer, out, progress)
    again = f", {done.found:,} were there" if done.found else ""
    print(f"{out}: {done.rows:,} answered{again}")
    if done.wrong:
        return fail(f"{path}: {done.wrong:,} images could not be read (column error); the first: {done.first_error}")
    return 0


def _print(path: Path, source: Any, scorer: Any, as_json: bool) -> int:
    wrong = 0
    for _, _, batches in source.groups():
        for table in batches:
            answers = scorer(table)
            place = answers.column(0).to_pylist()
            rows = zip(place, *(answers.column(name).to_pylist() for name in scorer.schema.names), strict=True)
            lines = []
            for where, number, name, logits, error in rows:
                shown = str(path / where) if isinstance(where, str) else f"{path}[{where}]"
                if error is not None:
                    wrong = fail(error if shown in error else f"{shown}: {error}")
                elif as_json:
                    at = {"file": shown, "index": 0} if isinstance(where, str) else {"file": str(path), "index": where}
                    lines.append(json.dumps({**at, "class": number, "name": name, "logits": logits, "notes": []}))
                else:
                    lines.append(printable(f"{shown}: {name}").replace("\n", "\\n"))
            if lines:
                print("\n".join(lines), flush=True)
    return wrong


@contextmanager
def _bar(rows: int | None, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal: rows, of how many, how fast, and how long it still takes."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.speed:,.0f} a second"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=rows)
        yield lambda rows: progress.advance(task, rows)


def check(inputs: list[Path], out: Path | None, column: str | None) -> None:
    """What goes with what."""
    many = [path for path in inputs if is_many(path)]
    if (out is not None or column is not None) and not many:
        raise InputError("--out and --column go with a folder, a Parquet file, or - for standard input")
    if out is not None and len(inputs) > 1:
        raise InputError("--out takes the answers of one folder, file or stream: run it once for each")
