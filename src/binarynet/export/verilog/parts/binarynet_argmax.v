// The class whose key is largest, the first of equals. Keys come one class after the other.
module binarynet_argmax #(
    parameter CLASSES = 10,
    parameter KEY_BITS = 8,
    parameter CLASS_BITS = (CLASSES > 1) ? $clog2(CLASSES) : 1
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [KEY_BITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output reg [CLASS_BITS-1:0] out_data
);
    localparam [31:0] LAST = CLASSES - 1;

    reg [CLASS_BITS-1:0] class_;
    reg [KEY_BITS-1:0] best;
    wire take = in_valid & in_ready;
    wire first = class_ == {CLASS_BITS{1'b0}};
    wire last = class_ == LAST[CLASS_BITS-1:0];

    assign in_ready = !out_valid | out_ready;

    always @(posedge clk) begin
        if (take & (first | in_data > best)) begin
            best <= in_data;
            out_data <= class_;
        end
        if (reset) class_ <= {CLASS_BITS{1'b0}};
        else if (take) class_ <= last ? {CLASS_BITS{1'b0}} : class_ + 1'b1;
        if (reset) out_valid <= 1'b0;
        else if (in_ready) out_valid <= in_valid & last;
    end
endmodule
