// The last layer's sums, all classes side by side, to the integers that they stand for: logit = FACTOR * sum + base.
module binarynet_scores #(
    parameter CLASSES = 10,
    parameter BITS = 8,  // of a sum
    parameter LOGIT_BITS = 9,
    parameter FACTOR = 2,
    parameter [CLASSES*LOGIT_BITS-1:0] BASES = 0
) (
    input wire clk,
    input wire [CLASSES*BITS-1:0] sums,
    output reg [CLASSES*LOGIT_BITS-1:0] logits
);
    genvar k;
    generate
        for (k = 0; k < CLASSES; k = k + 1) begin : class_
            wire [LOGIT_BITS-1:0] sum = {{(LOGIT_BITS - BITS) {1'b0}}, sums[BITS*k+:BITS]} << (FACTOR == 2);
            always @(posedge clk)
                logits[LOGIT_BITS*k+:LOGIT_BITS] <= sum + BASES[LOGIT_BITS*k+:LOGIT_BITS];
        end
    endgenerate
endmodule
