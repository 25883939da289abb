"""Verilog-2005 for any FPGA or ASIC: NAME.v, the units it is made of, their ROMs, and a test bench. See docs/export.md.

No vendor primitives. Everything streams: each layer is a unit that works while the others do.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.emit import put
from binarynet.export.verilog import check
from binarynet.export.verilog.axis import axis
from binarynet.export.verilog.bench import bench, write_vectors
from binarynet.export.verilog.cocotb_test import cocotb_test
from binarynet.export.verilog.core import core
from binarynet.export.verilog.keywords import KEYWORDS
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.report import report as costs
from binarynet.export.verilog.roms import styled
from binarynet.export.verilog.takes import SUPPORTED, refuses
from binarynet.export.verilog.text import Top
from binarynet.graph import Encoding, Graph

if TYPE_CHECKING:
    from binarynet.export import Answers

_UNIT = re.compile(r"\bbinarynet_\w+")
_EXAMPLES = 8  # images of noise that the test bench comes with


def parts() -> dict[str, str]:
    """The units: name of the file → its text."""
    folder = files(__package__) / "parts"
    found = sorted(part.name for part in folder.iterdir() if part.name.startswith("binarynet_"))
    return {name: (folder / name).read_text(encoding="utf-8") for name in found}


def _needed(text: str) -> dict[str, str]:
    """The units that a text has instances of, and those that these have."""
    there, found, new = parts(), dict[str, str](), set(_UNIT.findall(text))
    while new:
        names = [name for name in sorted(f"{unit}.v" for unit in new) if name in there and name not in found]
        found |= {name: there[name] for name in names}
        new = {unit for name in names for unit in _UNIT.findall(there[name])}
    return dict(sorted(found.items()))


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write the design, its ROMs (``NAME_*.hex``), NAME_tb.v with eight images of noise and their answers, and what
    other tools want: NAME_axis.v, NAME.core, NAME_cocotb.py.

    Raises:
        ExportError: an op has no counterpart in hardware, or NAME is a keyword of Verilog; the text names it.
    """
    if options.api in KEYWORDS or options.api in (name.removesuffix(".v") for name in parts()):
        raise ExportError(
            f"api {options.api!r} is a keyword of Verilog or the name of one of its units; choose another"
        )
    plan = planned(graph, options)
    top = Top(plan, options)
    if not top.roms:  # then no module has a use for their folder
        options = replace(options, rom_path="")
    text = top.text(options)
    wrapper, tests = axis(plan, options), bench(plan, options)
    used = _needed("".join([text, wrapper, tests, *top.modules.values()]))
    if "binarynet_rom.v" in used:
        used["binarynet_rom.v"] = styled(used["binarynet_rom.v"], options.rom_style)
    written = [put(folder, f"{options.api}.v", text), put(folder, f"{options.api}_tb.v", tests)]
    written += [put(folder, f"{options.api}_axis.v", wrapper)]
    sources = [f"{options.api}.v", *(f"{module}.v" for module in top.modules), *used]
    written += [put(folder, f"{options.api}.core", core(plan, options, sources, list(top.roms)))]
    written += [put(folder, f"{options.api}_cocotb.py", cocotb_test(plan, options, sources))]
    written += [put(folder, f"{module}.v", layer) for module, layer in top.modules.items()]
    written += [put(folder, name, part) for name, part in used.items()]
    written += [put(folder, file, "".join(f"{word}\n" for word in words)) for file, words in top.roms.items()]
    count = Encoding.parse(graph.input.encoding).count
    noise = np.random.default_rng(0).integers(0, count, (_EXAMPLES, *graph.input.shape)).astype(np.uint8)
    return [*written, *write_vectors(plan, folder, options.api, noise)]


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> Answers:
    """What the design answers in the simulator of the options, and how many clocks it takes.

    Raises:
        ExportError: as `binarynet.export.verilog.check.simulate`.
    """
    from binarynet.export import Answers

    made = check.simulate(folder, graph, options, codes, check.simulator(options.simulator))
    said = f"; {made.latency:,} clocks to the first class, {made.interval:,} from image to image"
    return Answers(check.logits(graph, made), f"verilog by {made.simulator}", said)


def says(folder: Path, options: Options) -> list[str]:
    """What the design costs, where the options ask for it.

    Raises:
        ExportError: as `binarynet.export.verilog.report.report`.
    """
    return costs(folder, options.api) if options.report else []


__all__ = ["SUPPORTED", "Options", "answers", "export", "refuses", "says"]
