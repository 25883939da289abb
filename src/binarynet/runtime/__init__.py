"""Running a graph: ``load(path).predict(images)``."""

from __future__ import annotations

import os
from typing import Any

from binarynet.format import load as _load_graph
from binarynet.graph import Limits
from binarynet.runtime import isa
from binarynet.runtime.plan import Planned
from binarynet.runtime.session import Session

__all__ = ["Planned", "Session", "isa", "load"]


def load(
    path: str | os.PathLike[str], *, sha256: str | None = None, limits: Limits | None = None, **options: Any
) -> Session:
    """Read a `.bnn` file (or a model of `binarynet.models`, by name) and make it ready; ``options`` are `Session`'s.

    ``sha256`` names the one file that is meant, ``limits`` what it may ask of this machine: `binarynet.format.load`.

    Raises:
        FormatError: the file is missing, damaged or another one, or asks for too much.
        RuntimeUnavailable: this engine or instruction set cannot run it here.
    """
    return Session(_load_graph(path, sha256=sha256, limits=limits), **options)
