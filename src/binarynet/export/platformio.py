"""A PlatformIO project with the network as a library, and a program that proves it on the board. See docs/export.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from binarynet.export.boards import Layout, Options
from binarynet.graph import Graph

_LAYOUT = Layout("platformio", sources="lib/net/src", images="src")


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write the project.

    Raises:
        ExportError: as `binarynet.export.c.build`.
    """
    return _LAYOUT.write(graph, folder, options)


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> NDArray[Any]:
    """What the project's C answers on this machine.

    Raises:
        ExportError: as `binarynet.export.c.check`.
    """
    return _LAYOUT.answers(graph, folder, options, codes)
