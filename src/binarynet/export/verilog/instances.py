"""Instances of units, and the wires between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from binarynet.export.emit import Names
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import Expression
from binarynet.export.verilog.units import Design, Stream, Window


@dataclass(frozen=True)
class Link:
    """The wires of a stream: PREFIX_valid, PREFIX_ready, PREFIX_data of ``bits`` bits."""

    prefix: str
    bits: int

    def declared(self) -> str:
        return f"    wire {self.prefix}_valid, {self.prefix}_ready;\n    wire [{self.bits - 1}:0] {self.prefix}_data;\n"

    def port(self, side: str) -> str:
        return (
            f".{side}_valid({self.prefix}_valid), .{side}_ready({self.prefix}_ready), .{side}_data({self.prefix}_data)"
        )


def class_bits(design: Design) -> int:
    return max(1, (design.last.channels - 1).bit_length())


def instance(module: str, name: str, parameters: dict[str, Any], *ports: str, reset: bool = True) -> str:
    """One instance, parameters and ports a few to a line. A text that begins with @ is a number of Verilog."""
    given = [f".{key}({_value(value)})" for key, value in parameters.items()]
    body = _wrapped(given)
    wires = _wrapped([".clk(clk), .reset(reset)" if reset else ".clk(clk)", *ports])
    parameters_text = f" #(\n{body}\n    )" if given else ""
    return f"    {module}{parameters_text} {name} (\n{wires}\n    );\n"


def _value(value: Any) -> str:
    if isinstance(value, Expression):
        return value
    if isinstance(value, str):
        return value[1:] if value.startswith("@") else f'"{value}"'
    return str(int(value))


def _wrapped(parts: list[str]) -> str:
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > 104:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(f"        {line}" for line in lines)


def sizes_of(window: Window) -> dict[str, int]:
    """The parameters of a window."""
    (top, bottom), (left, right) = window.padding
    parameters = {
        "WORDS": window.words,
        "HEIGHT": window.size[0],
        "COLUMNS": window.size[1],
        "KERNEL_Y": window.kernel[0],
        "KERNEL_X": window.kernel[1],
        "STRIDE_Y": window.stride[0],
        "STRIDE_X": window.stride[1],
        "DILATION_Y": window.dilation[0],
        "DILATION_X": window.dilation[1],
        "TOP": top,
        "BOTTOM": bottom,
        "LEFT": left,
        "RIGHT": right,
        "OUT_HEIGHT": window.places[0],
        "OUT_COLUMNS": window.places[1],
        "ROWS": window.rows,
        "TILES": window.tiles,
    }
    return parameters


class Writer(Protocol):
    """Who collects the text of a design: its wires, instances and ROMs."""

    design: Design
    names: Names
    options: Options
    latency: int  # clocks from a word to the last layer's sums, where nothing waits

    def put(self, *text: str) -> None:
        """Lines of the module."""

    def rom(self, name: str, words: list[str]) -> str:
        """The file of a ROM's words."""

    def words(self, name: str, link: Link, stream: Stream, lanes: int, bits: int | None = None) -> Link:
        """Words of another width."""
