// Whose sum it is: the number of the class, beside what is looked up by its sum.
module binarynet_turn #(
    parameter CLASSES = 10,
    parameter BITS = 4
) (
    input wire clk,
    input wire reset,
    input wire advance,
    input wire in_valid,
    output reg [BITS-1:0] number
);
    localparam [31:0] LAST = CLASSES - 1;

    reg [BITS-1:0] next;

    always @(posedge clk) begin
        if (advance) number <= next;
        if (reset) next <= {BITS{1'b0}};
        else if (in_valid & advance) next <= (next == LAST[BITS-1:0]) ? {BITS{1'b0}} : next + 1'b1;
    end
endmodule
