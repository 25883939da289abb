// Words in the order in which they came, until they are taken. It never says that it is full: whoever fills it counts
// (binarynet_admit).
module binarynet_queue #(
    parameter WIDTH = 8,
    parameter DEPTH_BITS = 5  // it has 2^DEPTH_BITS places
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    input wire [WIDTH-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output reg [WIDTH-1:0] out_data
);
    reg [WIDTH-1:0] memory[0:(1<<DEPTH_BITS)-1];
    reg [DEPTH_BITS-1:0] first, next;  // equal where nothing waits: the last place is the word that goes out
    wire move = !out_valid | out_ready;
    wire waits = first != next;

    always @(posedge clk) begin
        if (in_valid) memory[next] <= in_data;
        if (move) out_data <= memory[first];
        if (reset) begin
            first <= {DEPTH_BITS{1'b0}};
            next <= {DEPTH_BITS{1'b0}};
            out_valid <= 1'b0;
        end else begin
            if (in_valid) next <= next + 1'b1;
            if (move & waits) first <= first + 1'b1;
            if (move) out_valid <= waits;
        end
    end
endmodule
