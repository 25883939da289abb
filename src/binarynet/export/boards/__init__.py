"""Projects for boards: the C of a model where a build system looks for it, and a program that proves it on the board.

Each folder here is one project about a network called ``net``, as it is written but for that name. What is generated
(net.h, net.c, net_images.h) goes where the target's module says.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.c import check
from binarynet.export.c.files import header, source
from binarynet.export.c.network import build
from binarynet.export.c.options import Options as COptions
from binarynet.export.c.parts import renamed, renamed_text
from binarynet.export.c.writer import Table, Writer
from binarynet.export.emit import put
from binarynet.export.options import choice
from binarynet.graph import Graph, classes, interpret, verify

_IMAGES = 4


@dataclass(frozen=True)
class Options(COptions):
    """As those of C, for words of 32 bits."""

    word: int = choice(32, "Bits of a machine word: 16, 32 or 64; 32 for boards if none is given, else 64.")


@dataclass(frozen=True)
class Layout:
    """A project's folder here, and the folders in it for the network's C and for its images."""

    name: str
    sources: str
    images: str

    def write(self, graph: Graph, folder: Path, options: Options) -> list[Path]:
        """Every file of the project.

        Raises:
            ExportError: as `binarynet.export.c.build`.
        """
        network = build(graph, options)
        texts = {self._place(options.api, self.sources, f"{options.api}.h"): header(network)}
        texts[self._place(options.api, self.sources, f"{options.api}.c")] = source(network)
        texts[self._place(options.api, self.images, f"{options.api}_images.h")] = _images(graph, options)
        for path, text in _templates(files(__package__) / self.name):
            texts[self._place(options.api, path)] = renamed_text(text, options.api)
        made = []
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            made.append(put(folder, path, text))
        return made

    def answers(self, graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> NDArray[Any]:
        """What the project's C answers on this machine, by the system's compiler.

        Raises:
            ExportError: as `binarynet.export.c.check`.
        """
        sources = folder / self._place(options.api, self.sources)
        main = put(sources, "main.c", renamed("main.c", options.api))
        try:
            program = check.compiled(sources, options.api)
            found = check.answers(program, graph, codes)
            program.unlink()
        finally:
            main.unlink()
        return found

    def _place(self, api: str, *parts: str) -> str:
        return renamed_text(str(Path(*parts)), api)


def _templates(folder: Traversable, inside: str = "") -> list[tuple[str, str]]:
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        name = f"{inside}{path.name}"
        found += _templates(path, f"{name}/") if path.is_dir() else [(name, path.read_text(encoding="utf-8"))]
    return found


def _images(graph: Graph, options: Options) -> str:
    """Noise, and its classes by the oracle."""
    rng = np.random.default_rng(0)
    encoding = verify(graph)[graph.input.name].encoding
    shape = (_IMAGES, *graph.input.shape)
    codes: NDArray[Any] = rng.integers(0, 1 if encoding.is_float else encoding.count, shape).astype(np.uint8)
    if encoding.is_float:
        codes = rng.normal(size=shape).astype(np.float32)
    found = classes(graph.outputs, interpret(graph, codes)).astype(np.int32)
    text = Writer(f"#define {options.api.upper()}_IMAGES {_IMAGES}")
    flat = codes.reshape(_IMAGES, -1)
    text.table(Table(f"{options.api}_images", "float" if encoding.is_float else "uint8_t", flat, "noise"), options.word)
    text.table(Table(f"{options.api}_classes", "int32_t", found, "by the oracle"), options.word)
    tables = text.text.replace("static const FLASH ", "static const ")
    tables = tables.replace(f"[{flat.shape[1]}] =", f"[{flat.shape[1]}] {options.api.upper()}_IN_FLASH =")
    template = renamed_text((files(__package__) / "net_images.h").read_text(encoding="utf-8"), options.api)
    return template.replace("\nIMAGES\n", f"\n{tables}")
