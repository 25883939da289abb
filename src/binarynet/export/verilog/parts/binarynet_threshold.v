// Sums to codes: how many of a channel's thresholds a sum reaches, or for a falling channel does not reach.
// Thresholds stand for the layer's norm and quantizer; with one of them the code is the bit of a sign.
module binarynet_threshold #(
    parameter OUTPUTS = 2,
    parameter BITS = 8,
    parameter LEVELS = 1,
    parameter DIGITS = 1,  // of a code
    parameter TILES = 1,
    parameter PIPE = 0,  // 1: a register behind the ROM
    parameter FILE = ""  // per tile and output: thresholds, then one bit on top: falling
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [OUTPUTS*BITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output reg [OUTPUTS*DIGITS-1:0] out_data
);
    localparam ENTRY = LEVELS * BITS + 1;

    wire [OUTPUTS*ENTRY-1:0] entries;
    wire [OUTPUTS*DIGITS-1:0] codes;

    assign in_ready = !out_valid | out_ready;

    binarynet_sequence #(.WIDTH(OUTPUTS * ENTRY), .WORDS(TILES), .FILE(FILE), .KEPT(PIPE)) rom (
        .clk(clk), .reset(reset), .step(in_valid & in_ready), .data(entries));

    binarynet_codes #(.OUTPUTS(OUTPUTS), .BITS(BITS), .LEVELS(LEVELS), .DIGITS(DIGITS)) compare (
        .sums(in_data), .entries(entries), .codes(codes));

    always @(posedge clk) begin
        if (in_ready) out_data <= codes;
        if (reset) out_valid <= 1'b0;
        else if (in_ready) out_valid <= in_valid;
    end
endmodule
