// How many bits are 1, CLOCKS clocks later, new bits in every clock: some counted at once (binarynet_count), then added two
// by two, with a register behind each addition. Fewer bits wait as long.
module binarynet_tally #(
    parameter INPUTS = 6,
    parameter LUT = 6,  // inputs of the family's look-up tables: 6 or 4
    parameter CLOCKS = 1,
    parameter BITS = $clog2(INPUTS + 1)
) (
    input wire clk,
    input wire advance,
    input wire [INPUTS-1:0] bits,
    output reg [BITS-1:0] count
);
    localparam AT_ONCE = (LUT >= 6) ? 36 : 12;
    localparam PARTS = (INPUTS + AT_ONCE - 1) / AT_ONCE;
    localparam HALF = (PARTS > 1) ? AT_ONCE << ($clog2(PARTS) - 1) : 1;  // the left half is full
    localparam LEFT = $clog2(HALF + 1);
    localparam RIGHT = (INPUTS > HALF) ? $clog2(INPUTS - HALF + 1) : 1;

    wire [BITS-1:0] next;
    generate
        if (CLOCKS == 1) begin : at_once
            binarynet_count #(.INPUTS(INPUTS), .LUT(LUT)) counter (.bits(bits), .count(next));
        end else if (INPUTS <= AT_ONCE) begin : wait_
            binarynet_tally #(.INPUTS(INPUTS), .LUT(LUT), .CLOCKS(CLOCKS - 1)) earlier (
                .clk(clk), .advance(advance), .bits(bits), .count(next));
        end else begin : tree
            wire [LEFT-1:0] left;
            wire [RIGHT-1:0] right;
            binarynet_tally #(.INPUTS(HALF), .LUT(LUT), .CLOCKS(CLOCKS - 1)) former (
                .clk(clk), .advance(advance), .bits(bits[HALF-1:0]), .count(left));
            binarynet_tally #(.INPUTS(INPUTS - HALF), .LUT(LUT), .CLOCKS(CLOCKS - 1)) later (
                .clk(clk), .advance(advance), .bits(bits[INPUTS-1:HALF]), .count(right));
            assign next = {{(BITS - LEFT) {1'b0}}, left} + {{(BITS - RIGHT) {1'b0}}, right};
        end
    endgenerate

    always @(posedge clk) if (advance) count <= next;
endmodule
