// Words of IN values to words of OUT values, OUT a divisor of IN. After TOTAL values a group (a pixel, a vector) is
// whole: what is left of its last word is dropped.
module binarynet_narrow #(
    parameter BITS = 1,  // of a value
    parameter IN = 8,
    parameter OUT = 2,
    parameter TOTAL = 8
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [IN*BITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output wire [OUT*BITS-1:0] out_data
);
    localparam WORD = OUT * BITS;
    localparam PARTS = IN / OUT;

    reg [IN*BITS-1:0] held;
    wire take = out_valid & out_ready;
    wire last_part, last_word;
    wire done = take & (last_part | last_word);

    assign out_data = held[WORD-1:0];
    assign in_ready = !out_valid | done;

    binarynet_loop #(.COUNT(PARTS)) part (
        .clk(clk), .reset(reset | (take & last_word)), .step(take), .last(last_part));
    binarynet_loop #(.COUNT((TOTAL + OUT - 1) / OUT)) word (
        .clk(clk), .reset(reset), .step(take), .last(last_word));

    always @(posedge clk) begin
        if (in_valid & in_ready) held <= in_data;
        else if (take) held <= held >> WORD;
        if (reset) out_valid <= 1'b0;
        else if (in_ready) out_valid <= in_valid;
    end
endmodule
