// The last layer's sums, one class after the other, to the integers that they stand for: logit = FACTOR * sum + base.
module binarynet_logits #(
    parameter CLASSES = 10,
    parameter BITS = 8,  // of a sum
    parameter LOGIT_BITS = 9,
    parameter FACTOR = 2,
    parameter BASES = ""
) (
    input wire clk,
    input wire reset,
    input wire advance,
    input wire in_valid,
    input wire [BITS-1:0] in_data,
    output reg valid,
    output reg signed [LOGIT_BITS-1:0] logit
);
    wire [LOGIT_BITS-1:0] base;
    binarynet_sequence #(.WIDTH(LOGIT_BITS), .WORDS(CLASSES), .FILE(BASES)) rom (
        .clk(clk), .reset(reset), .step(in_valid & advance), .data(base));

    reg [LOGIT_BITS-1:0] sum;
    always @* begin
        sum = {LOGIT_BITS{1'b0}};
        sum[BITS-1:0] = in_data;
        if (FACTOR == 2) sum = sum << 1;
    end

    always @(posedge clk) begin
        if (advance) logit <= sum + base;
        if (reset) valid <= 1'b0;
        else if (advance) valid <= in_valid;
    end
endmodule
