// A word's place between two units, which ends the way of `ready`: in_ready is a register. A second word waits where the
// reader stopped just as one came.
module binarynet_slice #(
    parameter WIDTH = 8
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [WIDTH-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output reg [WIDTH-1:0] out_data
);
    reg waits;
    reg [WIDTH-1:0] second;
    wire move = !out_valid | out_ready;

    assign in_ready = !waits;

    always @(posedge clk) begin
        if (!waits) second <= in_data;
        if (move) out_data <= waits ? second : in_data;
        if (reset) begin
            waits <= 1'b0;
            out_valid <= 1'b0;
        end else begin
            if (move) out_valid <= waits | in_valid;
            waits <= !move & (waits | in_valid);
        end
    end
endmodule
