// Pooling: the largest value under a window, or per channel the smallest. On bits that is OR, and AND.
// Channels of a word are compared side by side; what lies outside the image never wins.
module binarynet_pool #(
    parameter VALUES = 8,  // in a word
    parameter DIGITS = 1,  // of a value
    parameter MINIMUM = "",  // per word of a pixel: one bit for each value
    // the window
    parameter WORDS = 1,
    parameter HEIGHT = 2,
    parameter COLUMNS = 2,
    parameter KERNEL_Y = 2,
    parameter KERNEL_X = 2,
    parameter STRIDE_Y = 2,
    parameter STRIDE_X = 2,
    parameter TOP = 0,
    parameter BOTTOM = 0,
    parameter LEFT = 0,
    parameter RIGHT = 0,
    parameter OUT_HEIGHT = 1,
    parameter OUT_COLUMNS = 1,
    parameter ROWS = 2
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [VALUES*DIGITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output reg [VALUES*DIGITS-1:0] out_data
);
    wire advance = !out_valid | out_ready;

    wire valid, outside, first, last, tail_unused;
    wire [VALUES*DIGITS-1:0] data;
    binarynet_window #(
        .WIDTH(VALUES * DIGITS), .WORDS(WORDS), .HEIGHT(HEIGHT), .COLUMNS(COLUMNS), .KERNEL_Y(KERNEL_Y),
        .KERNEL_X(KERNEL_X), .STRIDE_Y(STRIDE_Y), .STRIDE_X(STRIDE_X), .TOP(TOP), .BOTTOM(BOTTOM), .LEFT(LEFT),
        .RIGHT(RIGHT), .OUT_HEIGHT(OUT_HEIGHT), .OUT_COLUMNS(OUT_COLUMNS), .ROWS(ROWS), .TILES(WORDS), .ALONG(1)
    ) window (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data), .advance(advance),
        .valid(valid), .data(data), .outside(outside), .first(first), .last(last), .tail(tail_unused)
    );

    wire [VALUES-1:0] minimum;
    binarynet_sequence #(.WIDTH(VALUES), .WORDS(WORDS), .FILE(MINIMUM)) rom (
        .clk(clk), .reset(reset), .step(valid & last & advance), .data(minimum));

    wire [VALUES*DIGITS-1:0] best;  // of the values seen so far and this one
    genvar i;
    generate
        for (i = 0; i < VALUES; i = i + 1) begin : value
            wire [DIGITS-1:0] worst = {DIGITS{minimum[i]}};
            wire [DIGITS-1:0] here = outside ? worst : data[DIGITS*i+:DIGITS];
            wire [DIGITS-1:0] so_far = first ? worst : out_data[DIGITS*i+:DIGITS];
            if (DIGITS == 1) begin : bits
                assign best[i] = minimum[i] ? so_far & here : so_far | here;
            end else begin : codes
                assign best[DIGITS*i+:DIGITS] = ((here > so_far) != minimum[i]) ? here : so_far;
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (advance & valid) out_data <= best;
        if (reset) out_valid <= 1'b0;
        else if (advance) out_valid <= valid & last;
    end
endmodule
