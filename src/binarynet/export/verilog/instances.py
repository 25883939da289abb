"""Instances of units, and the wires between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from binarynet.export.verilog.units import Design


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
