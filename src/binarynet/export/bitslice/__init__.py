"""C in which a register holds one bit of many images, and constant weights are gates. See docs/bitslice.md.

512 images at a time with AVX-512: a full adder of 512 images is two instructions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from binarynet.export.bitslice import check
from binarynet.export.bitslice.files import header, part, source
from binarynet.export.bitslice.network import build, refuses
from binarynet.export.bitslice.options import Options
from binarynet.export.c.check import answers as c_answers
from binarynet.export.c.check import compiled
from binarynet.export.emit import put
from binarynet.graph import Graph

if TYPE_CHECKING:
    from binarynet.export import Answers


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write NAME.h, NAME.c, main.c and a Makefile.

    Raises:
        ExportError: an op that no gates stand for, or too many weights to unroll; the text names it.
    """
    network = build(graph, options)
    return [
        put(folder, f"{options.api}.h", header(network)),
        put(folder, f"{options.api}.c", source(network)),
        put(folder, "main.c", part("main.c", options.api)),
        put(folder, "Makefile", part("Makefile", options.api)),
    ]


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> Answers:
    """What the compiled program prints for a batch of input codes, and how many images a second it does.

    Raises:
        ExportError: there is no compiler, it refuses the code, or the program fails.
    """
    from binarynet.export import Answers

    program = compiled(folder, options.api, flags=check.FLAGS)
    found = c_answers(program, graph, codes)
    return Answers(found, "bitslice", f"; {check.rate(program, codes):,} images a second of processor time on one core")


__all__ = ["Options", "answers", "export", "refuses"]
