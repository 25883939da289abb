"""Import: an ONNX file with the quantizers of QONNX → the integer graph. See docs/export.md.

Reads what `binarynet export --to qonnx` writes and what Brevitas exports, in the arithmetic of the file: thresholds are
read off its own nodes, run by onnxruntime one by one. Needs no torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Graph, verify
from binarynet.graph.passes import PASSES
from binarynet.importer.fold import PIXELS, Importer
from binarynet.importer.model import load


def import_onnx(
    path: str | os.PathLike[str],
    pixels: str | None = None,
    meta: Mapping[str, str] | None = None,
    *,
    allow_real: bool = False,
) -> Graph:
    """The integer graph of an ONNX file.

    ``pixels`` is what the file's input is of a raw byte of the image: ``byte/255`` (in float32), ``byte``, or ``real``,
    which is no byte but a real number. Without it, ``byte`` where the file says that its input is an unsigned integer,
    else ``byte/255``. ``meta`` is free text that is added to the file's own. ``allow_real`` lets products read reals or
    hold real weights.

    Raises:
        ImportedModelError: a node has no exact integer counterpart; the text names it, its operator and the reason.
    """
    model = load(Path(path))
    importer = Importer(model, pixels, allow_real)
    graph = Graph(importer.ops(), {**model.meta, **(meta or {})})
    for one in PASSES:
        graph = one(graph)
    verify(graph)
    return graph


def shown(path: str | os.PathLike[str], images: NDArray[Any], pixels: str | None = None) -> NDArray[np.float32]:
    """Raw images (n, channels, height, width) as the file itself takes them: float32, in its shape.

    Raises:
        ImportedModelError: as `import_onnx`.
    """
    importer = Importer(load(Path(path)), pixels, True)
    x = images.reshape(len(images), *importer.model.shape).astype(np.float32)
    return x / np.float32(255) if importer.pixels == "byte/255" else x


__all__ = ["PIXELS", "import_onnx", "shown"]
