// Sums to codes, without a clock: how many of its thresholds a sum reaches, or for a falling channel does not reach.
module binarynet_codes #(
    parameter OUTPUTS = 2,
    parameter BITS = 8,
    parameter LEVELS = 1,
    parameter DIGITS = 1  // of a code
) (
    input wire [OUTPUTS*BITS-1:0] sums,
    input wire [OUTPUTS*(LEVELS*BITS+1)-1:0] entries,  // of each output: thresholds, then one bit on top: falling
    output reg [OUTPUTS*DIGITS-1:0] codes
);
    localparam ENTRY = LEVELS * BITS + 1;

    integer p, k;
    reg reached;
    always @* begin
        codes = {OUTPUTS * DIGITS{1'b0}};
        for (p = 0; p < OUTPUTS; p = p + 1)
            for (k = 0; k < LEVELS; k = k + 1) begin
                reached = sums[BITS*p+:BITS] >= entries[ENTRY*p+BITS*k+:BITS];
                if (reached != entries[ENTRY*(p+1)-1])
                    codes[DIGITS*p+:DIGITS] = codes[DIGITS*p+:DIGITS] + 1'b1;
            end
    end
endmodule
