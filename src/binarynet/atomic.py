"""Files that are written whole or not at all: a full disk, a crash or a kill leaves the old file, or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Gives a name beside ``path`` to write to. Where the block ends well, that file takes the place of ``path``.

    ``part`` is that name, where a kill may leave it and the next writer is to use it again.

    Raises:
        OSError: it cannot be written; then ``path`` is as it was.
    """
    part = part or path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield part
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def write(path: Path, content: bytes | str) -> None:
    """The whole content of a file; text as UTF-8. Errors as `replacing`."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def put_in_place(part: Path, path: Path) -> None:
    """Rename a finished file, after all of it has reached the disk: a power cut must not leave the name without it."""
    _sync(part)
    os.replace(part, path)
    with suppress(OSError):  # some file systems have no such call for folders; the file is whole either way
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
