"""Verilog-2005 for any FPGA or ASIC: NAME.v, the units it is made of, their ROMs, and a test bench. See docs/export.md.

No vendor primitives. Everything streams: each layer is a unit that works while the others do.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from binarynet.errors import ExportError
from binarynet.export.emit import Options, put
from binarynet.export.verilog.bench import bench, write_vectors
from binarynet.export.verilog.plan import SUPPORTED, Folds, design, refuses
from binarynet.export.verilog.text import KEYWORDS, Top
from binarynet.graph import Encoding, Graph, verify

_OPTIONAL = ("binarynet_narrow.v", "binarynet_pool.v", "binarynet_ranks.v", "binarynet_widen.v")
_EXAMPLES = 8  # images of noise that the test bench comes with


def parts() -> dict[str, str]:
    """The units: name of the file → its text."""
    folder = files(__package__) / "parts"
    found = sorted(part.name for part in folder.iterdir() if part.name.startswith("binarynet_"))
    return {name: (folder / name).read_text(encoding="utf-8") for name in found}


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write the design, its ROMs (``NAME_*.hex``), and NAME_tb.v with eight images of noise and their answers.

    Raises:
        ExportError: an op has no counterpart in hardware, or NAME is a keyword of Verilog; the text names it.
    """
    if options.api in KEYWORDS or options.api in (name.removesuffix(".v") for name in parts()):
        raise ExportError(
            f"api {options.api!r} is a keyword of Verilog or the name of one of its units; choose another"
        )
    plan = design(graph, verify(graph), Folds(options.fold))
    top = Top(plan, options)
    text = top.text(options)
    used = {name: part for name, part in parts().items() if name not in _OPTIONAL or name.removesuffix(".v") in text}
    written = [put(folder, f"{options.api}.v", text), put(folder, f"{options.api}_tb.v", bench(plan, options))]
    written += [put(folder, name, part) for name, part in used.items()]
    written += [put(folder, file, "".join(f"{word}\n" for word in words)) for file, words in top.roms.items()]
    count = Encoding.parse(graph.input.encoding).count
    noise = np.random.default_rng(0).integers(0, count, (_EXAMPLES, *graph.input.shape)).astype(np.uint8)
    return [*written, *write_vectors(plan, folder, options.api, noise)]


__all__ = ["SUPPORTED", "export", "refuses"]
