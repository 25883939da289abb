"""Exports: a graph as source text or data for machines that do not run Python. See docs/export.md.

A target is a module of this package with ``export(graph, folder, options)``; its name is the target's name. Nothing
else has to be told: the command line, the tests and `TARGETS` find it. It may also have

* ``Options``, its own subclass of `Options`, whose fields become options of the command line.
* ``refuses(op, reads, holds)``: why it does not take an op of that class that reads one encoding and holds another (its
  weights, or the codes that it makes), or None if it does. The table of docs/export.md is made of it.
* ``answers(graph, folder, options, codes)``: what the written thing answers to a batch, for ``--check``: the answers,
  or `Answers` if there is more to say; and ``CHECKED``, how many images that takes at most.
* ``says(folder, options)``: lines to print behind the files, as the options ask for. With an option ``report`` that is
  set, the command line adds the energy of `binarynet.report.energy` to them.

Another package adds such a module by an entry point of the group ``binarynet.exports``.
"""

from __future__ import annotations

import os
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from binarynet import plugins
from binarynet.atomic import put_in_place
from binarynet.errors import ExportError, closest, takes
from binarynet.export.options import Options
from binarynet.export.support import check, table
from binarynet.graph import Graph, verify


@dataclass(frozen=True)
class Answers:
    """``logits`` in the oracle's shape and type, what computed them, and what else it had to say."""

    logits: NDArray[Any]
    by: str
    said: str = ""


def _targets() -> dict[str, ModuleType]:
    """Name → module, for every module here that has an ``export``."""
    modules = {
        info.name.replace("_", "-"): import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)
    }
    return {name: module for name, module in sorted(modules.items()) if callable(getattr(module, "export", None))}


TARGETS = _targets()


def module_of(name: str) -> ModuleType:
    """Raises ExportError, which names those that there are, for a target that there is not."""
    if name in TARGETS:
        return TARGETS[name]
    if (point := plugins.find("binarynet.exports", name)) is not None:
        module: ModuleType = plugins.imported(point)
        return module
    known = (*TARGETS, *plugins.names("binarynet.exports"))
    raise ExportError(f"unknown target {name!r}.{closest(name, known)} Known: {', '.join(known)}.")


def options_of(name: str) -> type[Options]:
    """The class of a target's options."""
    kind: type[Options] = getattr(module_of(name), "Options", Options)
    return kind


@takes(
    graph=(Graph, "a Graph, such as binarynet.load_graph(…)"),
    target=(str, "the name of a target, such as 'c'"),
    folder=(str | os.PathLike, "the path of the folder to write"),
)
def write(graph: Graph, target: str, folder: Path | str, options: Options | None = None) -> list[Path]:
    """Verify a graph and export it; returns the files that were written into ``folder``, which is made. Options of
    another class are taken as far as the target has them.

    All files are written before the first of them takes its place: a full disk leaves an older export as it was.

    Raises:
        ExportError: there is no such target, an option does not fit, or the target cannot express an op; the text
            names them.
        GraphError: the graph is not well formed.
        OSError: a file cannot be written.
    """
    chosen = (options or Options()).of(options_of(target))
    verify(graph)
    check(graph, module_of(target), target)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".export-") as apart:
        written: list[Path] = module_of(target).export(graph, Path(apart), chosen)
        places = {file: folder / file.relative_to(apart) for file in written}
        for file, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            put_in_place(file, place)
    return list(places.values())


def answers(graph: Graph, to: str, folder: Path, options: Options, codes: NDArray[Any]) -> Answers:
    """What the thing that `write` wrote into ``folder`` answers to a batch of input codes.

    Raises:
        ExportError: nothing that runs was written, or a tool is missing or fails; the text names it.
    """
    if not hasattr(module_of(to), "answers"):
        raise ExportError(f"--check runs what was written; the target {to} writes nothing that runs")
    found = module_of(to).answers(graph, folder, options.of(options_of(to)), codes)
    return found if isinstance(found, Answers) else Answers(found, to)


def supported() -> str:
    """The table of docs/export.md: which op with which encodings each target takes."""
    return table(TARGETS)


__all__ = ["TARGETS", "Answers", "Options", "answers", "options_of", "supported", "write"]
