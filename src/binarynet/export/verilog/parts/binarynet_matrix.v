// A layer of products: OUTPUTS dot products at a time, INPUTS products of each in one clock.
//
// clock 0  the window issues a step           clock 2  products are counted
// clock 1  inputs and weights are there       clock 3  ... and added up; after the last step of a tile the sums go out
//
// With PIPE inputs and weights, then the counts, and where a lane has many of them their pairs, wait in one more register
// each: two or three clocks more, and shorter ones.
//
// When the reader is not ready, everything here stands still.
module binarynet_matrix #(
    parameter INPUTS = 8,  // values of a word
    parameter GROUPS = 1,  // in a word: an output reads the values of its own
    parameter ALONG = 0,  // a tile reads one word of each pixel
    parameter OUTPUTS = 2,
    parameter DIGITS = 1,  // of an input
    parameter PLANES = 1,  // stored bits of a weight
    parameter KIND = 0,  // of the weights: see binarynet_lane
    parameter SIGNED = 0,
    parameter HALVES = 0,  // the padding is the number 0, between two codes
    parameter FILL = 0,  // the code that stands on the padding, without HALVES
    parameter TAIL = 8,  // values in the last word of a pixel
    parameter BITS = 8,  // of a sum
    parameter START = 0,
    parameter LUT = 6,  // inputs of the family's look-up tables
    parameter PIPE = 0,
    parameter WEIGHTS = "",  // words of OUTPUTS x PLANES x INPUTS bits, in the order of the window's steps
    // the window
    parameter WORDS = 1,
    parameter HEIGHT = 1,
    parameter COLUMNS = 1,
    parameter KERNEL_Y = 1,
    parameter KERNEL_X = 1,
    parameter STRIDE_Y = 1,
    parameter STRIDE_X = 1,
    parameter DILATION_Y = 1,
    parameter DILATION_X = 1,
    parameter TOP = 0,
    parameter BOTTOM = 0,
    parameter LEFT = 0,
    parameter RIGHT = 0,
    parameter OUT_HEIGHT = 1,
    parameter OUT_COLUMNS = 1,
    parameter ROWS = 2,
    parameter TILES = 1
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [INPUTS*DIGITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output wire [OUTPUTS*BITS-1:0] out_data
);
    localparam [31:0] CODE = FILL;
    localparam EACH = INPUTS / GROUPS;  // products of an output

    wire advance = !out_valid | out_ready;

    wire valid, outside, first, last, tail;
    wire [INPUTS*DIGITS-1:0] data;
    binarynet_window #(
        .WIDTH(INPUTS * DIGITS), .WORDS(WORDS), .HEIGHT(HEIGHT), .COLUMNS(COLUMNS), .KERNEL_Y(KERNEL_Y),
        .KERNEL_X(KERNEL_X), .STRIDE_Y(STRIDE_Y), .STRIDE_X(STRIDE_X), .DILATION_Y(DILATION_Y),
        .DILATION_X(DILATION_X), .TOP(TOP), .BOTTOM(BOTTOM), .LEFT(LEFT), .RIGHT(RIGHT), .OUT_HEIGHT(OUT_HEIGHT),
        .OUT_COLUMNS(OUT_COLUMNS), .ROWS(ROWS), .TILES(TILES),
        .ALONG(ALONG)
    ) window (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data), .advance(advance),
        .valid(valid), .data(data), .outside(outside), .first(first), .last(last), .tail(tail)
    );

    localparam WIDTH = OUTPUTS * PLANES * EACH;
    wire [WIDTH-1:0] weights;
    binarynet_sequence #(
        .WIDTH(WIDTH), .WORDS(TILES * KERNEL_Y * KERNEL_X * (ALONG ? 1 : WORDS)), .FILE(WEIGHTS)
    ) rom (
        .clk(clk), .reset(reset), .step(valid & advance), .data(weights)
    );

    wire [INPUTS*DIGITS-1:0] x = (outside && HALVES == 0) ? {INPUTS{CODE[DIGITS-1:0]}} : data;
    wire [INPUTS-1:0] lanes = {INPUTS{1'b1}} >> (tail ? INPUTS - TAIL : 0);

    // Group by group and digit by digit, for the lanes.
    wire [INPUTS*DIGITS-1:0] planes;
    genvar i, n, p, g;
    generate
        if (DIGITS == 1) begin : as_they_are
            assign planes = x;
        end else begin : apart
            for (g = 0; g < GROUPS; g = g + 1) begin : group
                for (n = 0; n < DIGITS; n = n + 1) begin : digit
                    for (i = 0; i < EACH; i = i + 1) begin : value
                        assign planes[EACH*(DIGITS*g+n)+i] = x[DIGITS*(EACH*g+i)+n];
                    end
                end
            end
        end
    endgenerate

    // What the lanes count, and which step it is: valid, the first of a tile, the last.
    localparam TERMS = DIGITS * ((KIND == 1) ? 1 : PLANES);  // that a lane adds up
    wire [INPUTS*DIGITS-1:0] lane_x;
    wire [WIDTH-1:0] lane_w;
    wire [INPUTS-1:0] lane_lanes;
    wire lane_outside;
    wire [2:0] issued = {valid, valid & first, valid & last};
    wire [2:0] step;
    generate
        if (PIPE != 0) begin : piped
            reg [INPUTS*DIGITS-1:0] held_x;
            reg [WIDTH-1:0] held_w;
            reg [INPUTS-1:0] held_lanes;
            reg held_outside;
            reg [2:0] one, two, three;
            always @(posedge clk) begin
                if (advance) begin
                    held_x <= planes;
                    held_w <= weights;
                    held_lanes <= lanes;
                    held_outside <= outside && HALVES != 0;
                end
                if (reset) begin
                    one <= 3'd0;
                    two <= 3'd0;
                    three <= 3'd0;
                end else if (advance) begin
                    one <= issued;
                    two <= one;
                    three <= two;
                end
            end
            assign lane_x = held_x;
            assign lane_w = held_w;
            assign lane_lanes = held_lanes;
            assign lane_outside = held_outside;
            assign step = (TERMS > 2) ? three : two;
        end else begin : direct
            assign lane_x = planes;
            assign lane_w = weights;
            assign lane_lanes = lanes;
            assign lane_outside = outside && HALVES != 0;
            assign step = issued;
        end
    endgenerate

    reg part_first, part_last;
    always @(posedge clk) begin
        if (advance) begin
            part_first <= step[1];
            part_last <= step[0];
        end
        if (reset) begin
            part_last <= 1'b0;
            out_valid <= 1'b0;
        end else if (advance) out_valid <= part_last;
    end

    generate
        for (p = 0; p < OUTPUTS; p = p + 1) begin : output_
            localparam OWN = p / (OUTPUTS / GROUPS);
            binarynet_lane #(
                .INPUTS(EACH), .DIGITS(DIGITS), .PLANES(PLANES), .KIND(KIND), .SIGNED(SIGNED), .HALVES(HALVES),
                .BITS(BITS), .START(START), .FULL(TAIL == INPUTS), .LUT(LUT), .PIPE(PIPE)
            ) lane (
                .clk(clk), .advance(advance), .valid(step[2]), 
                .x(lane_x[OWN*EACH*DIGITS+:EACH*DIGITS]), .w(lane_w[p*PLANES*EACH+:PLANES*EACH]),
                .lanes(lane_lanes[OWN*EACH+:EACH]), .outside(lane_outside),
                .first(part_first), .sum(out_data[BITS*p+:BITS])
            );
        end
    endgenerate
endmodule
