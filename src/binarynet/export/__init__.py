"""Exports: a graph as source text or data for machines that do not run Python. See docs/export.md.

A target is a module of this package with ``export(graph, folder, options)``; its name is the target's name. Nothing
else has to be told: the command line, the tests and `TARGETS` find it. It may also have

* ``refuses(op, reads, holds)``: why it does not take an op of that class that reads one encoding and holds another (its
  weights, or the codes that it makes), or None if it does. The table of docs/export.md is made of it.
* ``answers(graph, folder, options, codes)``: what the written thing answers to a batch, for ``--check``; and
  ``CHECKED``, how many images that takes at most.
"""

from __future__ import annotations

import os
import pkgutil
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from binarynet.atomic import put_in_place
from binarynet.errors import ExportError, closest, takes
from binarynet.export.emit import Options
from binarynet.export.support import check, table
from binarynet.graph import Graph, verify


def _targets() -> dict[str, ModuleType]:
    """Name → module, for every module here that has an ``export``."""
    modules = {info.name: import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)}
    return {name: module for name, module in sorted(modules.items()) if callable(getattr(module, "export", None))}


TARGETS = _targets()


@takes(
    graph=(Graph, "a Graph, such as binarynet.load_graph(…)"),
    target=(str, "the name of a target, such as 'c'"),
    folder=(str | os.PathLike, "the path of the folder to write"),
)
def write(graph: Graph, target: str, folder: Path | str, options: Options | None = None) -> list[Path]:
    """Verify a graph and export it; returns the files that were written into ``folder``, which is made.

    All files are written before the first of them takes its place: a full disk leaves an older export as it was.

    Raises:
        ExportError: there is no such target, an option does not fit, or the target cannot express an op; the text
            names them.
        GraphError: the graph is not well formed.
        OSError: a file cannot be written.
    """
    if target not in TARGETS:
        raise ExportError(f"unknown target {target!r}.{closest(target, TARGETS)} Known: {', '.join(TARGETS)}.")
    verify(graph)
    check(graph, TARGETS[target], target)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".export-") as apart:
        written: list[Path] = TARGETS[target].export(graph, Path(apart), options or Options())
        for file in written:
            put_in_place(file, folder / file.name)
    return [folder / file.name for file in written]


def supported() -> str:
    """The table of docs/export.md: which op with which encodings each target takes."""
    return table(TARGETS)


__all__ = ["TARGETS", "Options", "supported", "write"]
