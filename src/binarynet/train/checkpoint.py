"""Checkpoints that are either whole or not there, and that run no code when they are read.

There are two. `last.ckpt` resumes training: it is Lightning's dictionary after the last full epoch (weights, optimizer,
schedule, progress, rows of metrics). `best.ckpt` is what is kept: the network of the epoch with the lowest validation
error so far, with `epoch`, `validation_error` and `model`.

Both are read with torch's `weights_only=True`, which takes tensors and plain containers and refuses code.

Both end with a SHA-256 of all that stands before it. Torch checks no sum, so without it a flipped bit would go on as a
slightly different network. The digest is the comment of the zip file that torch writes, which torch passes over.

Both reach the disk before they get their name.

Neither holds the state of a random generator. Every epoch seeds its own (`loader.torch_seed`), and checkpoints are
written between epochs.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from binarynet.atomic import replacing
from binarynet.errors import TrainingError

_SEAL = (7 + 64).to_bytes(2, "little") + b"sha256:"  # the length of the comment, and how it begins
_FULL = ("PytorchStreamWriter", "iostream error", "unexpected pos")  # how torch says that a disk is full


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` beside `path`, then rename: whoever reads finds the old file or the new one.

    `TrainingError` where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, path.with_name(path.name + ".part")) as part:
            torch.save(state, part)
            _seal(part)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _FULL):
            raise
        raise TrainingError(
            f"{path} cannot be written: {_first_line(error)}. What was saved before is whole: make room, then go on "
            "with --resume."
        ) from error


def _seal(path: Path) -> None:
    """Put the digest of a zip file behind it as its comment, whose length is the last thing in a file without one."""
    with open(path, "r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(-2, os.SEEK_END)
        file.write(_SEAL + digest.encode())


def _check_seal(path: Path) -> None:
    """Raises ValueError if the digest is not that of the file; one without a digest goes by the checksums of zip."""
    with open(path, "rb") as file:
        behind = min(len(_SEAL) + 64, file.seek(0, os.SEEK_END))
        file.seek(-behind, os.SEEK_END)
        tail = file.read()
        if tail[:-64] != _SEAL:
            _check_zip(file, tail)
            return
        content, left = hashlib.sha256(), file.tell() - behind
        file.seek(0)
        while left:
            part = file.read(min(left, 1 << 20))
            content.update(part)
            left -= len(part)
        content.update(b"\0\0")
    if content.hexdigest().encode() != tail[-64:]:
        raise ValueError("its SHA-256 is not the one that was written")


def _check_zip(file: IO[bytes], tail: bytes) -> None:
    if not zipfile.is_zipfile(file):
        return  # torch says what it is
    if tail[-22:-18] != b"PK\5\6":  # 22 bytes from the end, where nothing follows
        raise ValueError("it does not end as it was written")
    if broken := zipfile.ZipFile(file).testzip():
        raise ValueError(f"the checksum of {broken} in it does not match")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def read(path: Path, **options: Any) -> dict[str, Any]:
    """What `save` wrote, on the CPU unless `options` (of `torch.load`) say otherwise.

    `TrainingError` for a file that is missing, damaged, or of someone else.
    """
    try:
        _check_seal(path)
        state = torch.load(path, **{"map_location": "cpu", **options, "weights_only": True})
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist: no epoch that may be chosen is finished yet.") from None
    except Exception as error:  # RuntimeError, UnpicklingError, EOFError, ... by where the damage is
        raise TrainingError(
            f"{path} is damaged, or is no checkpoint of this package: {_first_line(error)}. "
            "Restore it from a copy, or train into another --out."
        ) from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path} is no checkpoint of this package: it holds a {type(state).__name__}.")
    return state


def read_best(path: Path, **options: Any) -> dict[str, Any]:
    """What best.ckpt holds: `epoch`, `validation_error`, `model`. `TrainingError` as `read`, or for another file."""
    state = read(path, **options)
    missing = [name for name in ("epoch", "validation_error", "model") if name not in state]
    if missing:
        raise TrainingError(f"{path} lacks {', '.join(missing)}: it is another checkpoint. Restore it from a copy.")
    return state
