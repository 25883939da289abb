// One level of nested loops: COUNT steps, then again. `last` marks the final one, so the loop around it steps on
// `step & last`. The value itself is never needed: addresses are carried along by additions.
module binarynet_loop #(
    parameter COUNT = 2,
    parameter BITS = (COUNT > 1) ? $clog2(COUNT) : 1
) (
    input wire clk,
    input wire reset,
    input wire step,
    output wire last
);
    localparam [31:0] LAST = COUNT - 1;

    reg [BITS-1:0] value;

    assign last = value == LAST[BITS-1:0];

    always @(posedge clk)
        if (reset) value <= {BITS{1'b0}};
        else if (step) value <= last ? {BITS{1'b0}} : value + 1'b1;
endmodule
