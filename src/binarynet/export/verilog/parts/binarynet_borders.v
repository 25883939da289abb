// Sums to codes where thresholds differ at the borders of an image: binarynet_threshold, with a word for each tile and each
// state of the flags that say which rows and columns of the kernel lie outside.
module binarynet_borders #(
    parameter OUTPUTS = 2,
    parameter BITS = 8,
    parameter LEVELS = 1,
    parameter DIGITS = 1,  // of a code
    parameter TILES = 1,
    parameter FLAGS = 2,
    parameter FILE = ""  // per tile, flags and output: thresholds, then one bit on top: falling
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [OUTPUTS*BITS-1:0] in_data,
    input wire [FLAGS-1:0] flags,
    output reg out_valid,
    input wire out_ready,
    output reg [OUTPUTS*DIGITS-1:0] out_data
);
    localparam ENTRY = LEVELS * BITS + 1;
    localparam STATES = TILES << FLAGS;
    localparam A = $clog2(STATES);
    localparam [31:0] NEXT = 1 << FLAGS;

    wire [OUTPUTS*ENTRY-1:0] entries;
    reg [OUTPUTS*BITS-1:0] sums;
    wire [OUTPUTS*DIGITS-1:0] codes;
    reg there;
    reg [A-1:0] start;  // of the tile
    wire last;
    wire take = in_valid & in_ready;
    wire [A-1:0] address = start | {{(A - FLAGS) {1'b0}}, flags};

    assign in_ready = !out_valid | out_ready;

    binarynet_loop #(.COUNT(TILES)) tiles (.clk(clk), .reset(reset), .step(take), .last(last));
    binarynet_rom #(.WIDTH(OUTPUTS * ENTRY), .WORDS(STATES), .FILE(FILE)) rom (
        .clk(clk), .read(in_ready), .address(address), .data(entries));

    binarynet_codes #(.OUTPUTS(OUTPUTS), .BITS(BITS), .LEVELS(LEVELS), .DIGITS(DIGITS)) compare (
        .sums(sums), .entries(entries), .codes(codes));

    always @(posedge clk) begin
        if (in_ready) begin
            sums <= in_data;
            out_data <= codes;
        end
        if (reset) begin
            start <= {A{1'b0}};
            there <= 1'b0;
            out_valid <= 1'b0;
        end else begin
            if (take) start <= last ? {A{1'b0}} : start + NEXT[A-1:0];
            if (in_ready) begin
                there <= in_valid;
                out_valid <= there;
            end
        end
    end
endmodule
