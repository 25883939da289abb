// Words of IN values to words of OUT values, IN a divisor of OUT. After TOTAL values a group (a pixel, a vector) is
// whole: its last word goes out with zeros behind the last value.
module binarynet_widen #(
    parameter BITS = 1,  // of a value
    parameter IN = 2,
    parameter OUT = 8,
    parameter TOTAL = 8
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [IN*BITS-1:0] in_data,
    output reg out_valid,
    input wire out_ready,
    output reg [OUT*BITS-1:0] out_data
);
    localparam WORD = IN * BITS;
    localparam PARTS = OUT / IN;

    wire take = in_valid & in_ready;
    wire last_part, last_word;
    wire full = last_part | last_word;

    assign in_ready = !out_valid | out_ready;

    binarynet_loop #(.COUNT(PARTS)) part (
        .clk(clk), .reset(reset | (take & last_word)), .step(take), .last(last_part));
    binarynet_loop #(.COUNT((TOTAL + IN - 1) / IN)) word (
        .clk(clk), .reset(reset), .step(take), .last(last_word));

    // A one wanders along the word and says which part is next.
    reg [PARTS-1:0] place;
    integer k;
    always @(posedge clk) begin
        if (reset | (take & full)) place <= {{(PARTS - 1) {1'b0}}, 1'b1};
        else if (take) place <= place << 1;
        if (take)
            for (k = 0; k < PARTS; k = k + 1)
                if (place[k]) out_data[WORD*k+:WORD] <= in_data;
                else if (place[0]) out_data[WORD*k+:WORD] <= {WORD{1'b0}};
        if (reset) out_valid <= 1'b0;
        else if (in_ready) out_valid <= in_valid & full;
    end
endmodule
