"""Finding the files of a data set: the directory given, then `BINARYNET_DATA`, then the download cache."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from binarynet import environment
from binarynet.data import download
from binarynet.data.source import Layout, Part, Source
from binarynet.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
MOST_BYTES = 1 << 29  # of one file; the largest of the sets here holds 47 MB


def locate(
    source: Source, parts: Sequence[Part], data_dir: Path | str | None, may_download: bool
) -> dict[Part, list[Path]]:
    """The paths of the training and/or test files of a data set, in its layout's order.

    All of them come from one folder. The first directory that has any of the files is the one meant, so a
    file missing beside them is an error: the rest is not silently taken from elsewhere.

    Raises `DataError` if `data_dir` is not a directory, or files are missing and cannot be downloaded.
    """
    if not source.layouts:
        return {part: [] for part in parts}
    looked = []
    for origin, root in _roots(data_dir):
        looked.append(f"{root / source.layouts[0].folder} ({origin})")
        gap = ""
        for layout in source.layouts:
            found, missing = _search(root, layout, parts)
            if not missing:
                return found
            present = [path.name for paths in found.values() for path in paths]
            if present and not gap:
                gap = (
                    f"{source.name}: {root / layout.folder} holds {present[0]} but not {', '.join(missing)}. "
                    f"Put the missing files there, or take the others away to have the set looked for "
                    f"elsewhere."
                )
        if gap:
            raise DataError(gap)

    layout, cache = source.layouts[0], download.cache()
    why = "pooch, which downloads, is not installed"
    if cache is not None:
        looked.append(f"{cache / layout.folder} (download cache)")
        why = download.fetch(source, parts, cache) if may_download else ""
        found, missing = _search(cache, layout, parts)
        if not why and not missing:
            return found
        why = why or "downloading is switched off"
    if not environment.read("BINARYNET_DATA"):
        looked.append("BINARYNET_DATA is not set")
    gz = " (each may be compressed, as .gz)" if layout.gz else ""
    raise DataError(
        f"{source.name}: no data. Looked in {'; '.join(looked)}. Not downloaded: {why}. "
        f"Put {', '.join(layout.files(parts))}{gz} into DIR/{layout.folder} and give DIR as data_dir, "
        f"--data-dir or BINARYNET_DATA."
    )


def given(name: str, data_dir: Path | str | None) -> Path | None:
    """The folder of this name in the directories that the user names, or None. Errors as `locate`."""
    return next((root / name for _, root in _roots(data_dir) if (root / name).is_dir()), None)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """What a file holds, decompressed if it is a gzip file.

    Its first bytes tell, not its name: browsers unpack a `.gz` and leave the name as it was. No more than ``most``
    bytes are ever made of it: three megabytes of gzip can stand for three gigabytes.

    Raises `DataError` if it cannot be read or holds more, or its compressed stream is truncated or damaged.
    """
    try:
        with open(path, "rb") as file:
            compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if compressed else file
            parts, left = [], most + 1
            while left and (part := stream.read(min(left, 1 << 20))):  # a large read sets all of it aside
                parts.append(part)
                left -= len(part)
        content = b"".join(parts)
        if len(content) > most:
            raise DataError(f"{path} holds more than {most:,} bytes, which no file of this kind does. Fetch it again.")
        return content
    except EOFError as error:
        raise DataError(f"{path} is truncated: its gzip stream ends early. Fetch it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}. Fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _roots(data_dir: Path | str | None) -> list[tuple[str, Path]]:
    """Where the user says the data is, most particular first, with who said so."""
    roots = []
    if data_dir is not None:
        root = Path(data_dir).expanduser()
        if not root.is_dir():
            raise DataError(f"the data directory {root} does not exist or is not a directory")
        roots.append(("data_dir", root))
    if variable := environment.read("BINARYNET_DATA"):
        roots.append(("BINARYNET_DATA", Path(variable).expanduser()))
    return roots


def _search(root: Path, layout: Layout, parts: Sequence[Part]) -> tuple[dict[Part, list[Path]], list[str]]:
    """(the files of these parts in the layout's folder under `root`, the names of those not there)"""
    found: dict[Part, list[Path]] = {}
    missing: list[str] = []
    for part in parts:
        found[part] = []
        for name in layout.files([part]):
            plain = root / layout.folder / name
            compressed = plain.with_name(f"{name}.gz")
            if plain.is_file():
                found[part].append(plain)
            elif layout.gz and compressed.is_file():
                found[part].append(compressed)
            else:
                missing.append(name)
    return found, missing
