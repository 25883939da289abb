"""Fetching published files into the user's cache through pooch: mirror by mirror, checked by SHA-256."""

from __future__ import annotations

import importlib.util
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from binarynet.data.lazy import need
from binarynet.data.source import Part, Published, Source
from binarynet.errors import DataError


def cache() -> Path | None:
    """The folder downloads are kept in, laid out as a data directory; None if pooch is not installed."""
    try:
        return Path(need("pooch", "pooch", "downloading").os_cache("binarynet"))
    except DataError:
        return None


def fetch(source: Source, parts: Sequence[Part], root: Path) -> str:
    """Bring these parts of a data set into `root`, as the source's first layout has them.

    Returns "" if all files are there now, and otherwise why not. Files that are there already are checked
    and kept.
    """
    folder = root / source.layouts[0].folder
    wanted = set(source.layouts[0].files(parts))
    for published in source.published:
        if not wanted.intersection(published.provides):
            continue
        if published.archive and all((folder / name).is_file() for name in published.provides):
            continue
        try:
            path = _retrieve(published, folder)
            if published.archive:
                _unpack(path, published, folder)
        except DataError as error:
            return str(error)
    return ""


def _retrieve(published: Published, folder: Path) -> Path:
    """The path of the downloaded file, its SHA-256 checked; or a `DataError` with each mirror's answer."""
    pooch = need("pooch", "pooch", "downloading")
    bar = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    answers = []
    for url in published.urls:
        try:
            return Path(
                pooch.retrieve(
                    url,
                    known_hash=f"sha256:{published.sha256}",
                    fname=published.file,
                    path=folder,
                    progressbar=bar,
                )
            )
        except Exception as error:  # whatever is wrong with one mirror, the next may be right
            answers.append(f"{url}: {type(error).__name__}: {_first_line(error)}")
    raise DataError("; ".join(answers))


def _unpack(archive: Path, published: Published, folder: Path) -> None:
    """Take the files the archive provides out of it; each appears whole or, when interrupted, not at all."""
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: member for member in tar if member.isfile()}
        for name in published.provides:
            stream = tar.extractfile(members[name]) if name in members else None
            if stream is None:
                raise DataError(f"{archive} does not hold {name}. Delete it and load the set again.")
            part = folder / f".{name}.{os.getpid()}"
            part.write_bytes(stream.read())
            os.replace(part, folder / name)


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [""])[0]
    return line if len(line) <= 200 else line[:200] + "…"
