// A convolution folded over its outputs alone: the whole window is there at once (binarynet_columns) and waits while
// TILES groups of OUTPUTS outputs are computed, one in a clock. Weights are data of a ROM, as in binarynet_matrix.
//
// What lies outside reads as the code FILL. Which rows and columns of the kernel do goes along with the sums, for
// thresholds that differ at a border (binarynet_borders).
module binarynet_whole #(
    parameter PIXEL = 1,  // values of a pixel
    parameter OUTPUTS = 2,
    parameter DIGITS = 1,  // of an input
    parameter PLANES = 1,  // stored bits of a weight
    parameter KIND = 0,  // of the weights: see binarynet_lane
    parameter FILL = 0,
    parameter BITS = 8,  // of a sum
    parameter LUT = 6,  // inputs of the family's look-up tables
    parameter PIPE = 0,
    parameter WEIGHTS = "",  // words of OUTPUTS x PLANES x KERNEL_Y x KERNEL_X x PIXEL bits
    // the window
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
    parameter FEEDS = 1,
    parameter TILES = 1
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [PIXEL*DIGITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output wire [KERNEL_Y+KERNEL_X+OUTPUTS*BITS-1:0] out_data  // columns outside, rows outside, sums
);
    localparam [31:0] CODE = FILL;
    localparam INPUTS = KERNEL_Y * KERNEL_X * PIXEL;
    localparam WIDTH = OUTPUTS * PLANES * INPUTS;
    localparam FLAGS = KERNEL_Y + KERNEL_X;
    localparam TERMS = DIGITS * ((KIND == 1) ? 1 : PLANES);  // that a lane adds up
    localparam WAIT = (PIPE == 0) ? 0 : (TERMS > 2) ? 3 : 2;  // clocks of a lane's registers

    wire advance = !out_valid | out_ready;
    wire valid, last_tile;
    wire [INPUTS*DIGITS-1:0] x;
    wire [FLAGS-1:0] outside;
    wire [WIDTH-1:0] weights;

    binarynet_columns #(
        .WIDTH(PIXEL * DIGITS), .HEIGHT(HEIGHT), .COLUMNS(COLUMNS), .KERNEL_Y(KERNEL_Y), .KERNEL_X(KERNEL_X),
        .STRIDE_Y(STRIDE_Y), .STRIDE_X(STRIDE_X), .DILATION_Y(DILATION_Y), .DILATION_X(DILATION_X), .TOP(TOP),
        .BOTTOM(BOTTOM), .LEFT(LEFT), .RIGHT(RIGHT), .OUT_HEIGHT(OUT_HEIGHT), .OUT_COLUMNS(OUT_COLUMNS), .ROWS(ROWS),
        .FEEDS(FEEDS), .FILL({PIXEL{CODE[DIGITS-1:0]}})
    ) columns (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .advance(advance & (!valid | last_tile)), .valid(valid), .data(x), .outside_y(outside[KERNEL_Y-1:0]),
        .outside_x(outside[FLAGS-1:KERNEL_Y])
    );
    binarynet_loop #(.COUNT(TILES)) tiles (
        .clk(clk), .reset(reset), .step(valid & advance), .last(last_tile));
    binarynet_sequence #(.WIDTH(WIDTH), .WORDS(TILES), .FILE(WEIGHTS)) rom (
        .clk(clk), .reset(reset), .step(valid & advance), .data(weights));

    // Digit by digit, for the lanes.
    wire [INPUTS*DIGITS-1:0] planes, lane_x;
    wire [WIDTH-1:0] lane_w;
    genvar i, n, p;
    generate
        for (n = 0; n < DIGITS; n = n + 1) begin : digit
            for (i = 0; i < INPUTS; i = i + 1) begin : value
                assign planes[INPUTS*n+i] = x[DIGITS*i+n];
            end
        end
        if (PIPE != 0) begin : piped
            reg [INPUTS*DIGITS-1:0] held_x;
            reg [WIDTH-1:0] held_w;
            always @(posedge clk)
                if (advance) begin
                    held_x <= planes;
                    held_w <= weights;
                end
            assign lane_x = held_x;
            assign lane_w = held_w;
        end else begin : direct
            assign lane_x = planes;
            assign lane_w = weights;
        end
    endgenerate

    // What goes along with a step: whether it is one, and where it lies outside. Lanes take two clocks behind WAIT.
    reg [WAIT:0] steps;
    reg [(WAIT+2)*FLAGS-1:0] flags;
    wire [WAIT+1:0] all_steps = {steps, valid};
    always @(posedge clk) begin
        if (advance) flags <= {flags[(WAIT+1)*FLAGS-1:0], outside};
        if (reset) begin
            steps <= {WAIT + 1{1'b0}};
            out_valid <= 1'b0;
        end else if (advance) begin
            steps <= all_steps[WAIT:0];
            out_valid <= steps[WAIT];
        end
    end
    assign out_data[OUTPUTS*BITS+:FLAGS] = flags[(WAIT+1)*FLAGS+:FLAGS];

    generate
        for (p = 0; p < OUTPUTS; p = p + 1) begin : output_
            binarynet_lane #(
                .INPUTS(INPUTS), .DIGITS(DIGITS), .PLANES(PLANES), .KIND(KIND), .BITS(BITS), .FULL(1), .LUT(LUT),
                .PIPE(PIPE)
            ) lane (
                .clk(clk), .advance(advance), .valid(all_steps[WAIT]), .x(lane_x),
                .w(lane_w[p*PLANES*INPUTS+:PLANES*INPUTS]), .lanes({INPUTS{1'b1}}), .outside(1'b0), .first(1'b1),
                .sum(out_data[BITS*p+:BITS])
            );
        end
    endgenerate
endmodule
