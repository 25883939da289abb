"""NAME_axis.v: the design with the names of AXI4-Stream, a packet for each image and one for each class."""

from __future__ import annotations

from binarynet.export.emit import line_comments, provenance
from binarynet.export.verilog import tables
from binarynet.export.verilog.instances import class_bits
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import handed, header
from binarynet.export.verilog.units import Design


def axis(design: Design, options: Options) -> str:
    """The wrapper's text."""
    api, stream = options.api, design.input
    bits, classes = stream.lanes * stream.digits, class_bits(design)
    wide, out = -(-bits // 8) * 8, -(-classes // 8) * 8
    words = stream.pixels * -(-stream.shape[2] // stream.lanes)
    head = [
        f"{api} with the names of AXI4-Stream. A packet of {words} words is an image; s_axis_tlast marks its last",
        "word. A packet of one word is its class. m_axis_tuser says that the image's packet was too short or too long:",
        "it was filled up or cut, and its class means nothing. The packet after it is whole again.",
        *provenance(design.graph, options),
    ]
    rest = f"    wire data_unused = &{{1'b0, s_axis_tdata[{wide - 1}:{bits}]}};\n" if wide > bits else ""
    data = f"s_axis_tdata[{bits - 1}:0]" if wide > bits else "s_axis_tdata"
    logit = tables.logit_bits(design.last) * (design.last.channels if design.flows else 1)
    sign = "" if design.flows else "signed "
    filled = f"{{{out - classes}'d0, out_class}}" if out > classes else "out_class"
    text = f"""module {api}_axis {header(options.rom_path)}(
    input wire aclk,
    input wire aresetn,
    input wire s_axis_tvalid,
    output wire s_axis_tready,
    input wire [{wide - 1}:0] s_axis_tdata,
    input wire s_axis_tlast,
    output wire m_axis_tvalid,
    input wire m_axis_tready,
    output wire [{out - 1}:0] m_axis_tdata,
    output wire m_axis_tlast,
    output wire m_axis_tuser
);
    wire in_valid, in_ready, out_valid, logit_valid_unused;
    wire [{bits - 1}:0] in_data;
    wire [{classes - 1}:0] out_class;
    wire {sign}[{logit - 1}:0] logit_unused;
    {api} {handed(options.rom_path)}core (
        .clk(aclk), .reset(!aresetn), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .logit_valid(logit_valid_unused), .logit(logit_unused), .out_valid(out_valid), .out_ready(m_axis_tready),
        .out_class(out_class)
    );
    binarynet_frame #(.BITS({bits}), .WORDS({words})) frame (
        .clk(aclk), .reset(!aresetn), .in_valid(s_axis_tvalid), .in_ready(s_axis_tready), .in_last(s_axis_tlast),
        .in_data({data}), .out_valid(in_valid), .out_ready(in_ready), .out_data(in_data),
        .taken(m_axis_tvalid & m_axis_tready), .broken(m_axis_tuser)
    );
{rest}    assign m_axis_tvalid = out_valid & aresetn;
    assign m_axis_tdata = {filled};
    assign m_axis_tlast = 1'b1;
endmodule
"""
    return line_comments(head) + text
