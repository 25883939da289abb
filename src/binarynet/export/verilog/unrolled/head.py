"""The beginning of an unrolled layer's module: its ports and its window."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from binarynet.export.emit import line_comments
from binarynet.export.verilog import tables
from binarynet.export.verilog.unrolled.thresholds import Borders
from binarynet.export.verilog.unrolled.unit import Unrolled


class Layer(Protocol):
    """What is known of a layer before its text is written."""

    unit: Unrolled
    name: str
    digits: int
    rows: NDArray[Any]
    kinds: Borders
    small: list[int]
    large: list[int]
    size: int
    each: int

    def input(self, index: int, inverted: bool) -> str:
        """A code of the input."""


def head(layer: Layer) -> str:
    """Everything before the counts: ports, window, and inputs that nobody looks at."""
    unit, window = layer.unit, layer.unit.window
    width = unit.reads.lanes * unit.reads.digits
    taps = window.kernel[0] * window.kernel[1]
    about = [
        f"Layer {unit.name} with constant weights: {taps * unit.reads.lanes} inputs, {unit.channels} outputs,",
        f"of which {len(layer.small)} are look-up tables; {len(layer.large)} share sign classes, {layer.size} each.",
    ]
    flags = (
        "outside_y" if layer.kinds.rows else "outside_y_unused",
        ("outside_x" if layer.kinds.columns else "outside_x_unused"),
    )
    lines = [
        line_comments(about),
        f"module {layer.name} (\n    input wire clk,\n    input wire reset,\n    input wire in_valid,\n"
        f"    output wire in_ready,\n    input wire [{width - 1}:0] in_data,\n    output reg out_valid,\n"
        f"    input wire out_ready,\n    output reg [{unit.channels * layer.each - 1}:0] out_data\n);\n"
        "    wire advance = !out_valid | out_ready;\n"
        f"    wire there;\n    wire [{taps * width - 1}:0] x;\n",
    ]
    if window.trivial:
        return "".join(
            [
                *lines,
                "    assign there = in_valid;\n    assign in_ready = advance;\n    assign x = in_data;\n",
                _unused(layer),
            ]
        )
    fill = sum(tables.fill(unit) << (layer.digits * value) for value in range(unit.reads.lanes))
    parameters = {
        "WIDTH": width, "HEIGHT": window.size[0], "COLUMNS": window.size[1], "KERNEL_Y": window.kernel[0],
        "KERNEL_X": window.kernel[1], "STRIDE_Y": window.stride[0], "STRIDE_X": window.stride[1],
        "DILATION_Y": window.dilation[0], "DILATION_X": window.dilation[1], "TOP": window.padding[0][0],
        "BOTTOM": window.padding[0][1], "LEFT": window.padding[1][0], "RIGHT": window.padding[1][1],
        "OUT_HEIGHT": window.places[0], "OUT_COLUMNS": window.places[1], "ROWS": window.rows,
        "FEEDS": window.feeds,
    }  # fmt: skip
    given = ", ".join(f".{key}({value})" for key, value in parameters.items())
    lines += [
        f"    wire [{window.kernel[0] - 1}:0] {flags[0]};\n    wire [{window.kernel[1] - 1}:0] {flags[1]};\n",
        f"    binarynet_columns #(\n        {given},\n        .FILL({width}'h{fill:x})\n    ) columns (\n",
        "        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),\n",
        f"        .advance(advance), .valid(there), .data(x), .outside_y({flags[0]}), .outside_x({flags[1]})\n",
        "    );\n",
        _unused(layer),
    ]
    return "".join(lines)


def _unused(layer: Layer) -> str:
    """Inputs that no output looks at, told to whoever asks."""
    blind = np.flatnonzero(~layer.rows.any(axis=0)).tolist()
    text = f"    wire x_unused = &{{1'b0, {', '.join(layer.input(one, False) for one in blind)}}};\n" if blind else ""
    for side, used, count in (("y", layer.kinds.rows, layer.unit.window.kernel[0]),
                              ("x", layer.kinds.columns, layer.unit.window.kernel[1])):  # fmt: skip
        rest = [f"outside_{side}[{n}]" for n in range(count) if n not in used]
        if used and rest:
            text += f"    wire {side}_unused = &{{1'b0, {', '.join(rest)}}};\n"
    return text
