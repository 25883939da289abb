// A circuit of your own around an exported net: bytes come in when `strobe` is 1, and the class of the last whole image
// stays on `class_leds`. Whatever sends the bytes waits while `busy` is 1.
module board (
    input wire clk,
    input wire reset,
    input wire strobe,
    input wire [7:0] pixel,
    output wire busy,
    output reg [3:0] class_leds
);
    wire in_ready, logit_valid_unused, out_valid;
    wire [3:0] out_class;

    assign busy = !in_ready;

    net digits (
        .clk(clk), .reset(reset), .in_valid(strobe), .in_ready(in_ready), .in_data(pixel),
        .logit_valid(logit_valid_unused), .logit(), .out_valid(out_valid), .out_ready(1'b1), .out_class(out_class)
    );

    always @(posedge clk)
        if (reset) class_leds <= 4'd0;
        else if (out_valid) class_leds <= out_class;
endmodule
