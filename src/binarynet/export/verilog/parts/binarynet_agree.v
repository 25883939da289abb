// How many digits of x and w are equal. With look-up tables of six inputs, three pairs are
// compared and counted in two tables; otherwise each comparison is a table, and the counters follow.
module binarynet_agree #(
    parameter INPUTS = 8,
    parameter LUT = 6,
    parameter BITS = $clog2(INPUTS + 1)
) (
    input wire [INPUTS-1:0] x,
    input wire [INPUTS-1:0] w,
    output wire [BITS-1:0] count
);
    localparam THREES = INPUTS / 3;
    localparam REST = INPUTS - 3 * THREES;
    localparam SUM = $clog2(THREES + REST + 1);

    generate
        if (LUT < 6 || THREES < 2) begin : plain
            binarynet_count #(.INPUTS(INPUTS), .LUT(LUT)) counter (.bits(x ~^ w), .count(count));
        end else begin : pairs
            wire [THREES+REST-1:0] ones;
            wire [THREES-1:0] twos;
            genvar t;
            for (t = 0; t < THREES; t = t + 1) begin : three
                wire [2:0] same = x[3*t+:3] ~^ w[3*t+:3];
                assign ones[t] = ^same;
                assign twos[t] = (same[0] & same[1]) | (same[0] & same[2]) | (same[1] & same[2]);
            end
            for (t = 0; t < REST; t = t + 1) begin : rest
                assign ones[THREES+t] = x[3*THREES+t] ~^ w[3*THREES+t];
            end
            wire [SUM-1:0] of_ones;
            wire [$clog2(THREES+1)-1:0] of_twos;
            binarynet_count #(.INPUTS(THREES + REST), .LUT(LUT)) first (.bits(ones), .count(of_ones));
            binarynet_count #(.INPUTS(THREES), .LUT(LUT)) second (.bits(twos), .count(of_twos));
            assign count = {{(BITS - SUM) {1'b0}}, of_ones} + {{(BITS - 1 - $clog2(THREES + 1)) {1'b0}}, of_twos, 1'b0};
        end
    endgenerate
endmodule
