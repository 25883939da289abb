"""A design with wider ports than a chip has pins, between shift registers, so that nextpnr can place it.

A whole image a clock comes from a memory or another design on the chip. The clock is that of the design all the same:
what stands around it are registers, one behind the other.
"""

from __future__ import annotations

import re

_INPUT = re.compile(r"input wire \[(\d+):0\] in_data")
_OUTPUT = re.compile(r"output wire (signed )?\[(\d+):0\] logit")
_CLASS = re.compile(r"output wire \[(\d+):0\] out_class")
_OTHERS = 7  # ports of one bit


def pins(text: str) -> int:
    """How many pins the ports of a design's ``NAME.v`` are."""
    widths = [_INPUT.search(text), _OUTPUT.search(text), _CLASS.search(text)]
    return _OTHERS + sum(int(found[found.lastindex or 1]) + 1 for found in widths if found)


def shifted(text: str, api: str) -> str:
    """The module ``NAME_pins`` around a design: bits in, bits out, and the rest of its ports."""
    found = [pattern.search(text) for pattern in (_INPUT, _OUTPUT, _CLASS)]
    image, logits, classes = (int(one[one.lastindex or 1]) + 1 for one in found if one)
    return f"""module {api}_pins (
    input wire clk, input wire reset, input wire in_valid, output wire in_ready, input wire in_bit,
    output reg logit_bit, output wire out_valid, input wire out_ready, output reg [{classes - 1}:0] out_class
);
    reg [{image}:0] image;
    reg [{logits}:0] logits;
    wire [{logits - 1}:0] logit;
    wire [{classes - 1}:0] found;
    wire logit_valid;
    {api} core (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(image[{image - 1}:0]),
        .logit_valid(logit_valid), .logit(logit), .out_valid(out_valid), .out_ready(out_ready), .out_class(found)
    );
    always @(posedge clk) begin
        image <= {{image[{image - 1}:0], in_bit}};
        logits <= logit_valid ? {{1'b0, logit}} : logits >> 1;
        logit_bit <= logits[0];
        out_class <= found;
    end
endmodule
"""
