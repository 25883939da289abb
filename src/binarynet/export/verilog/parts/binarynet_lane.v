// One output's dot product, INPUTS products a clock, by counting bits.
//
// Each operand is a number in binary digits. A product of two digits of +-1 is their XNOR, so what is added up is the
// number of digits that agree, times the powers of two that they stand for; the rest is a constant per output, which
// is already taken off the thresholds. Codes of three digits and more are added as numbers where every word is full and
// weights are +-1 digits: that is the same sum in fewer tables.
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
    parameter START = 0,  // so large that no sum is negative
    parameter FULL = 0,  // 1: every word is full, so `lanes` says nothing
    parameter LUT = 6,  // inputs of the family's look-up tables
    parameter PIPE = 0  // 1: a register behind the counters, and where there are many, between the adders
) (
    input wire clk,
    input wire advance,
    input wire valid,  // what is added up is a step's
    input wire [INPUTS*DIGITS-1:0] x,  // digit n of the values at bit INPUTS * n
    input wire [INPUTS*PLANES-1:0] w,  // plane j at bit INPUTS * j
    input wire [INPUTS-1:0] lanes,  // which values there are
    input wire outside,
    input wire first,  // one clock later than that
    output reg [BITS-1:0] sum
);
    localparam FACTORS = (KIND == 1) ? 1 : PLANES;  // digits of a weight
    localparam PLAIN = KIND == 0 && FULL != 0;  // every digit is counted, outside the image as one that agrees
    localparam [31:0] EVERY = INPUTS * ((1 << DIGITS) - 1) * ((1 << FACTORS) - 1);
    localparam TERMS = DIGITS * FACTORS;
    // Codes of many digits and weights of one: a weight of -1 inverts the code, and codes are added, first four of them.
    localparam CODES = PLAIN && FACTORS == 1 && DIGITS > 2;
    localparam C = CODES ? DIGITS + 2 : $clog2(INPUTS + 1);  // bits of a count
    localparam COUNTS = CODES ? (INPUTS + 3) / 4 : TERMS;
    localparam [31:0] BEGIN = START;

    wire [COUNTS*C-1:0] made;
    wire [COUNTS*C-1:0] counts;
    wire away;  // outside, for the counts
    genvar n, j;
    generate
        if (PLAIN) begin : all_lanes
            wire unused = &{1'b0, lanes};
        end
        if (CODES) begin : codes
            wire [4*COUNTS*DIGITS-1:0] turned;  // value by value
            for (j = 0; j < 4 * COUNTS; j = j + 1) begin : value
                for (n = 0; n < DIGITS; n = n + 1) begin : digit
                    if (j < INPUTS) assign turned[DIGITS*j+n] = x[INPUTS*n+j] ~^ w[j];
                    else assign turned[DIGITS*j+n] = 1'b0;
                end
            end
            for (j = 0; j < COUNTS; j = j + 1) begin : four
                wire [DIGITS:0] low = {1'b0, turned[DIGITS*4*j+:DIGITS]} + {1'b0, turned[DIGITS*(4*j+1)+:DIGITS]};
                wire [DIGITS:0] high = {1'b0, turned[DIGITS*(4*j+2)+:DIGITS]} + {1'b0, turned[DIGITS*(4*j+3)+:DIGITS]};
                assign made[C*j+:C] = {1'b0, low} + {1'b0, high};
            end
        end else for (n = 0; n < DIGITS; n = n + 1) begin : digit
            for (j = 0; j < FACTORS; j = j + 1) begin : factor
                wire [INPUTS-1:0] bits = x[INPUTS*n+:INPUTS];
                wire [INPUTS-1:0] other = w[INPUTS*((KIND == 1) ? PLANES - 1 : j)+:INPUTS];
                if (PLAIN) begin : whole
                    binarynet_agree #(.INPUTS(INPUTS), .LUT(LUT)) counter (
                        .x(bits), .w(other), .count(made[(n*FACTORS+j)*C+:C]));
                end else begin : some
                    wire [INPUTS-1:0] same = (KIND == 2) ? bits : bits ~^ other;
                    wire [INPUTS-1:0] counted = (KIND == 0) ? lanes : lanes & w[INPUTS*j+:INPUTS];
                    binarynet_count #(.INPUTS(INPUTS), .LUT(LUT)) counter (
                        .bits(outside ? counted : counted & same), .count(made[(n*FACTORS+j)*C+:C]));
                end
            end
        end
        if (PIPE != 0) begin : kept
            reg [COUNTS*C-1:0] held;
            reg held_outside;
            always @(posedge clk)
                if (advance) begin
                    held <= made;
                    held_outside <= outside;
                end
            assign counts = held;
            assign away = held_outside;
        end else begin : direct
            assign counts = made;
            assign away = outside;
        end
    endgenerate

    // Each count times its power of two, and two of them each.
    localparam PAIRS = CODES ? 1 : (TERMS + 1) / 2;
    reg [PAIRS*BITS-1:0] pairs_made;
    wire [PAIRS*BITS-1:0] pairs;
    wire gone;  // outside, for the pairs
    localparam W = (C > BITS) ? BITS : C;  // no sum has more
    reg [BITS-1:0] one;
    integer d;
    always @* begin
        pairs_made = {PAIRS * BITS{1'b0}};
        for (d = 0; d < COUNTS; d = d + 1) begin
            one = {BITS{1'b0}};
            one[W-1:0] = counts[d*C+:W];
            if (!CODES) one = one << (d / FACTORS + d % FACTORS);
            if (CODES) pairs_made[BITS-1:0] = pairs_made[BITS-1:0] + one;
            else if (SIGNED != 0 && d % FACTORS == FACTORS - 1)
                pairs_made[(d/2)*BITS+:BITS] = pairs_made[(d/2)*BITS+:BITS] - one;
            else pairs_made[(d/2)*BITS+:BITS] = pairs_made[(d/2)*BITS+:BITS] + one;
        end
    end
    generate
        if (PIPE != 0 && TERMS > 2) begin : paired
            reg [PAIRS*BITS-1:0] held;
            reg held_outside;
            always @(posedge clk)
                if (advance) begin
                    held <= pairs_made;
                    held_outside <= away;
                end
            assign pairs = held;
            assign gone = held_outside;
        end else begin : at_once
            assign pairs = pairs_made;
            assign gone = away;
        end
    endgenerate

    reg [BITS-1:0] total;  // of this step
    reg [BITS-1:0] part;  // of the step before
    integer t;
    always @* begin
        total = {BITS{1'b0}};
        for (t = 0; t < PAIRS; t = t + 1) total = total + pairs[t*BITS+:BITS];
        if (HALVES != 0 && !gone) total = total << 1;
        if (PLAIN && HALVES != 0 && gone) total = EVERY[BITS-1:0];
    end

    always @(posedge clk)
        if (advance) begin
            part <= valid ? total : {BITS{1'b0}};
            sum <= (first ? BEGIN[BITS-1:0] : sum) + part;
        end
endmodule
