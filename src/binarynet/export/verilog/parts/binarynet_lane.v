// One output's dot product, INPUTS products a clock, by counting bits.
//
// Each operand is a number in binary digits. A product of two digits of +-1 is their XNOR, so what is added up is the
// number of digits that agree, times the powers of two that they stand for; the rest is a constant per output, which
// is already taken off the thresholds. Eight digits of a raw byte need the same eight counters that an adder of bytes
// would need, so the first layer has no unit of its own.
//
//     KIND 0: weights are +-1 digits         counted: x agrees with w
//     KIND 1: weights are -1, 0, +1          plane 0 of w: is not 0; plane 1: is +1. Counted: not 0, and x agrees
//     KIND 2: weights are 0 or 1 digits      counted: both are 1. With SIGNED the highest digit counts negative
//
// With HALVES the padding is the number 0, which no +-1 digit can say. It lies halfway between -1 and +1, so sums are
// counted in halves: a digit inside adds 2 or 0, one outside 1.
module binarynet_lane #(
    parameter INPUTS = 8,
    parameter DIGITS = 1,  // of an input
    parameter PLANES = 1,  // stored bits of a weight
    parameter KIND = 0,
    parameter SIGNED = 0,
    parameter HALVES = 0,
    parameter BITS = 8,
    parameter START = 0  // so large that no sum is negative
) (
    input wire clk,
    input wire advance,
    input wire valid,  // x and w hold a step
    input wire [INPUTS*DIGITS-1:0] x,  // digit n of the values at bit INPUTS * n
    input wire [INPUTS*PLANES-1:0] w,  // plane j at bit INPUTS * j
    input wire [INPUTS-1:0] lanes,  // which values there are
    input wire outside,
    input wire first,  // one clock later than x and w
    output reg [BITS-1:0] sum
);
    localparam FACTORS = (KIND == 1) ? 1 : PLANES;  // digits of a weight
    localparam EIGHTS = (INPUTS + 7) / 8;
    localparam [31:0] BEGIN = START;

    // How many bits are 1. A plain sum: synthesis builds a tree of full adders from it. Eight at a time, only because
    // simulators take fewer steps for it.
    function [BITS-1:0] popcount;
        input [INPUTS-1:0] bits;
        reg [8*EIGHTS-1:0] b;
        reg [BITS-1:0] eight;  // BITS is four at least
        integer i;
        begin
            b = {8 * EIGHTS{1'b0}};
            b[INPUTS-1:0] = bits;
            popcount = {BITS{1'b0}};
            for (i = 0; i < 8 * EIGHTS; i = i + 8) begin
                eight = {BITS{1'b0}};
                eight[3:0] = {3'd0, b[i]} + {3'd0, b[i+1]} + {3'd0, b[i+2]} + {3'd0, b[i+3]}
                    + {3'd0, b[i+4]} + {3'd0, b[i+5]} + {3'd0, b[i+6]} + {3'd0, b[i+7]};
                popcount = popcount + eight;
            end
        end
    endfunction

    reg [BITS-1:0] total;  // of this step
    reg [BITS-1:0] part;  // of the step before
    reg [INPUTS-1:0] agree, counted;
    integer n, j;
    always @* begin
        total = {BITS{1'b0}};
        for (n = 0; n < DIGITS; n = n + 1)
            for (j = 0; j < FACTORS; j = j + 1) begin
                agree = x[INPUTS*n+:INPUTS];
                counted = lanes;
                if (KIND == 0) agree = agree ~^ w[INPUTS*j+:INPUTS];
                if (KIND == 1) agree = agree ~^ w[INPUTS*(PLANES-1)+:INPUTS];
                if (KIND != 0) counted = lanes & w[INPUTS*j+:INPUTS];
                if (outside) agree = {INPUTS{1'b1}};
                if (SIGNED != 0 && j == FACTORS - 1) total = total - (popcount(counted & agree) << (n + j));
                else total = total + (popcount(counted & agree) << (n + j));
            end
        if (HALVES != 0 && !outside) total = total << 1;
    end

    always @(posedge clk)
        if (advance) begin
            part <= valid ? total : {BITS{1'b0}};
            sum <= (first ? BEGIN[BITS-1:0] : sum) + part;
        end
endmodule
