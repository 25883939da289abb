"""NAME.core: what FuseSoC (CAPI2) has to know of a design, with a target to simulate it and one to lint it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from binarynet.export.emit import line_comments, provenance
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import HERE
from binarynet.export.verilog.units import Design

_SWITCHES = {
    "stalls": "input and reader pause",
    "resets": "resets at random moments",
    "answers": "prints class and integers of each image",
    "vcd": "writes what every wire does",
}


def core(design: Design, options: Options, sources: Sequence[str], roms: Sequence[str]) -> str:
    """The file's text. All names in it are identifiers with an ending; they stand in quotes all the same."""
    api = options.api
    head = [
        f"{api} for FuseSoC, which looks for it below --cores-root:",
        "",
        f"    $ fusesoc --cores-root . run --target=sim {api}                      (Icarus Verilog)",
        f"    $ fusesoc --cores-root . run --target=sim --tool=verilator {api} --stalls",
        f"    $ fusesoc --cores-root . run --target=lint {api}                     (Verilator)",
        "",
        *provenance(design.graph, options),
    ]
    placed = ["ROM_PATH"] if options.rom_path else []
    lines = [
        "CAPI=2:",
        line_comments(head, "#").rstrip("\n"),
        f"name: {_quoted(f'::{api}:0')}",
        f"description: {_quoted('A binarized network as a stream of units')}",
        "filesets:",
        *_files("rtl", [*sources, f"{api}_axis.v"], "verilogSource"),
        *_files("roms", roms, "user"),
        *_files("bench", [f"{api}_tb.v"], "verilogSource"),
        *_files("vectors", [f"{api}_images.hex", f"{api}_expected.hex"], "user"),
        "targets:",
        *_target("default", ["rtl", "roms"], api, placed),
        *_target("sim", ["rtl", "roms", "bench", "vectors"], f"{api}_tb", [*placed, *_SWITCHES]),
        "    default_tool: icarus",
        "    tools:",
        "      icarus:",
        "        iverilog_options: [-g2005]",
        "      verilator:",
        "        mode: binary",
        "        verilator_options: [-Wno-fatal, --top-module, " + _quoted(f"{api}_tb") + "]",
        *_target("lint", ["rtl"], f"{api}_axis", []),
        "    default_tool: verilator",
        "    tools:",
        "      verilator:",
        "        mode: lint-only",
        "        verilator_options: [-Wall]",
        "parameters:",
    ]
    if placed:
        lines += ["  ROM_PATH:", "    datatype: str", f"    default: {_quoted(HERE)}", "    paramtype: vlogparam"]
    for name, what in _SWITCHES.items():
        lines += [f"  {name}:", "    datatype: bool", f"    description: {_quoted(what)}", "    paramtype: plusarg"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A string of YAML: those of JSON are some."""
    return json.dumps(text)


def _files(name: str, files: Sequence[str], kind: str) -> list[str]:
    """A set of files. Those that a design reads while it runs lie where it runs."""
    moved = kind == "user"
    rows = [f"      - {_quoted(file)}" + (f": {{copyto: {_quoted(file)}}}" if moved else "") for file in files]
    listed = ["    files:", *rows] if rows else ["    files: []"]
    return [f"  {name}:", f"    file_type: {kind}", *listed]


def _target(name: str, sets: Sequence[str], top: str, parameters: Sequence[str]) -> list[str]:
    lines = [f"  {name}:", f"    filesets: [{', '.join(sets)}]", f"    toplevel: {_quoted(top)}"]
    return lines + ([f"    parameters: [{', '.join(parameters)}]"] if parameters else [])
