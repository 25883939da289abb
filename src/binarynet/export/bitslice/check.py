"""The program that the system's compiler makes of the files: its answers, and how many images it does a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.process import finished

FLAGS = ("-O3", "-march=native")


def rate(program: Path, codes: NDArray[Any]) -> int:
    """Images a second of processor time, on one core.

    Raises:
        ExportError: the program fails, or prints no number.
    """
    done = finished([program.resolve(), "--rate"], given=np.ascontiguousarray(codes).tobytes())
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode or not said.isascii() or not said.isdigit():
        raise ExportError(f"{program} --rate ended with code {done.returncode} and printed no number")
    return int(said)
