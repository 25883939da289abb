"""Where tools look for the ROMs of a design, and which cells they are asked to make of them."""

from __future__ import annotations

import re

from binarynet.errors import ExportError, closest

# A word of --rom-style → attributes of Vivado (rom_style), Quartus (romstyle) and yosys (which reads both). Quartus has
# no word for any block memory, so there its kind is named.
_BLOCK = '(* rom_style = "block" *)'
STYLES = {
    "auto": "",
    "block": _BLOCK,
    "distributed": '(* rom_style = "distributed", romstyle = "logic" *)',
    **{kind: f'(* rom_style = "block", romstyle = "{kind}" *)' for kind in ("M9K", "M10K", "M20K")},
}
_MEMORY = "    reg [WIDTH-1:0] words[0:WORDS-1];\n"
HERE = "./"  # what ROM_PATH is where a tool is run in the folder itself


class Expression(str):
    """Text of Verilog that is no string."""


def checked(path: str, style: str) -> None:
    """Raises ExportError for a path that would not stay one in a string of Verilog, and for an unknown style."""
    if not re.fullmatch(r"[A-Za-z0-9_./:@+~-]{0,200}", path):
        raise ExportError(
            f"rom-path {path!r}: a folder of letters, digits and _ . / : @ + ~ -, at most 200 characters; "
            "/ between folders, on Windows, too"
        )
    if style not in STYLES:
        raise ExportError(f"rom-style {style!r}.{closest(style, STYLES)} Known: {', '.join(STYLES)}.")


def place(file: str, path: str) -> str:
    """How an instance names its ROM: the file, or behind the parameter ROM_PATH."""
    return Expression(f'{{ROM_PATH, "{file}"}}') if path else file


def header(path: str, indent: str = "") -> str:
    """``#(parameter ROM_PATH = "roms/") `` for the head of a module, or nothing."""
    end = "" if path.endswith("/") else "/"
    return f'#(\n{indent}    parameter ROM_PATH = "{path}{end}"  // with its slash\n{indent}) ' if path else ""


def handed(path: str) -> str:
    """The same parameter for an instance."""
    return "#(.ROM_PATH(ROM_PATH)) " if path else ""


def styled(rom: str, style: str) -> str:
    """The text of binarynet_rom.v with the attributes of a style."""
    attributes = STYLES[style]
    if not attributes:
        return rom
    head, memory, rest = rom.partition(_MEMORY)
    assert memory, "binarynet_rom.v has another memory"
    if style == "distributed":  # yosys says "logic" for it, and takes the other word for an error
        attributes = f'`ifdef YOSYS\n    (* rom_style = "logic" *)\n`else\n    {attributes}\n`endif'
    else:
        attributes = f"    {attributes}"
    return f"{head}{attributes}\n{memory}{rest}"


def takes_path(source: str) -> bool:
    """Whether a module's text has the parameter."""
    return "parameter ROM_PATH" in source
