"""C99 for any chip: NAME.h, NAME.c, main.c, Makefile. See docs/export.md.

No allocation, of the library only <stdint.h> and <string.h>, weights in constant tables, and one arena that the
caller provides. Floats appear only where the graph has reals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from binarynet.export.c import check
from binarynet.export.c.files import header, source
from binarynet.export.c.network import build
from binarynet.export.c.options import Options
from binarynet.export.c.parts import renamed
from binarynet.export.emit import put
from binarynet.graph import Encoding, Graph, Op


def refuses(op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """Everything is supported."""
    return None


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> NDArray[Any]:
    """What the program that the system's compiler makes of the files prints for a batch of input codes.

    Raises:
        ExportError: as `binarynet.export.c.check`.
    """
    return check.answers(check.compiled(folder, options.api), graph, codes)


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write the four files.

    Raises:
        ExportError: as `build`.
    """
    network = build(graph, options)
    return [
        put(folder, f"{options.api}.h", header(network)),
        put(folder, f"{options.api}.c", source(network)),
        put(folder, "main.c", renamed("main.c", options.api)),
        put(folder, "Makefile", renamed("Makefile", options.api)),
    ]
