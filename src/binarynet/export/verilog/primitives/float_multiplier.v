// A product of two IEEE-754 single precision numbers, rounded to nearest, ties to even; infinities and NaN as the
// standard has them. Numbers below the smallest normal one count as 0, going in and coming out, as in most FPGA cores:
// a multiplier that also does those is larger. It stands here only to be measured beside an XNOR.
module float_multiplier (
    input wire [31:0] a,
    input wire [31:0] b,
    output reg [31:0] product
);
    wire sign = a[31] ^ b[31];
    wire a_zero = a[30:23] == 8'd0;
    wire b_zero = b[30:23] == 8'd0;
    wire a_special = a[30:23] == 8'd255;
    wire b_special = b[30:23] == 8'd255;
    wire a_nan = a_special & (a[22:0] != 23'd0);
    wire b_nan = b_special & (b[22:0] != 23'd0);

    // 1.f * 1.f lies in [1, 4): the leading one is bit 47 or bit 46.
    wire [47:0] exact = {1'b1, a[22:0]} * {1'b1, b[22:0]};
    wire high = exact[47];
    wire [46:0] normal = high ? exact[46:0] : {exact[45:0], 1'b0};  // behind the leading one
    wire round = normal[23] & (normal[24] | (normal[22:0] != 23'd0));
    wire [23:0] rounded = {1'b0, normal[46:24]} + {23'd0, round};  // the fraction, and its carry
    // Rounding up from 1.11...1 gives 10.0: the fraction is 0 then, and the exponent one more.
    wire [9:0] exponent = {2'd0, a[30:23]} + {2'd0, b[30:23]} + {9'd0, high} + {9'd0, rounded[23]} - 10'd127;
    wire below = exponent[9] | (exponent == 10'd0);
    wire above = !exponent[9] & (exponent >= 10'd255);

    always @*
        if (a_nan | b_nan | (a_special & b_zero) | (b_special & a_zero)) product = 32'h7fc00000;
        else if (a_special | b_special) product = {sign, 8'd255, 23'd0};
        else if (a_zero | b_zero | below) product = {sign, 31'd0};
        else if (above) product = {sign, 8'd255, 23'd0};
        else product = {sign, exponent[7:0], rounded[22:0]};
endmodule
