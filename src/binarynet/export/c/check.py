"""Generated C as a user meets it: built with a C compiler, run on raw images, its printed answers read back."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.process import finished
from binarynet.graph import Graph, classes, verify

COMPILERS = ("cc", "gcc", "clang")


def compiler() -> str:
    """The system's C compiler.

    Raises:
        ExportError: there is none; the text names the package.
    """
    for name in COMPILERS:
        if shutil.which(name):
            return name
    raise ExportError("no C compiler (cc, gcc, clang): apt-get install gcc")


def compiled(folder: Path, api: str, cc: str | None = None, flags: Sequence[str] = ("-O3",)) -> Path:
    """Build the program in ``folder``; returns its path.

    Raises:
        ExportError: there is no compiler, or it refuses the code; the text holds its first complaint.
    """
    command = [cc or compiler(), "-std=c99", *flags, "-o", api, "main.c", f"{api}.c"]  # names as the folder knows them
    done = finished(command, folder)
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        complaint = next((line for line in said.splitlines() if "error" in line), said.strip())
        raise ExportError(f"{' '.join(command)}: {complaint}")
    return folder / api


def answers(program: Path, graph: Graph, codes: NDArray[Any]) -> NDArray[Any]:
    """What the program prints for a batch of input codes (n, …), in the oracle's shape and type.

    Raises:
        ExportError: the program fails, or prints something else.
    """
    value = verify(graph)[graph.output.name]
    dtype = np.float32 if value.encoding.is_float else np.int32
    raw = np.ascontiguousarray(codes).tobytes()
    done = finished([program.resolve(), "--logits"], given=raw)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ExportError(f"{program} ended with code {done.returncode}: {' '.join(said[:3])}")
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    try:
        numbers = np.array([row[1:] for row in rows], np.float64).reshape(len(codes), *value.shape)
        best = np.array([row[0] for row in rows], np.int64)
    except (ValueError, IndexError):
        raise ExportError(f"{program} prints {len(rows)} lines that are not {len(codes)} answers") from None
    found = numbers.astype(dtype)
    if np.any(best != classes(graph.outputs, found)):
        raise ExportError(f"{program}: a class is not where the answer is largest")
    return found
