// Images out of packets: WORDS words, the last of which is marked. A packet that is too short is filled up with zeros, of
// one that is too long the rest is dropped, so that each packet makes one image and the next one begins at its first word.
//
// Whether a packet was whole waits in a queue until its class comes out: `taken` moves on. A full queue holds the input.
module binarynet_frame #(
    parameter BITS = 8,
    parameter WORDS = 4,
    parameter DEPTH_BITS = 4  // the queue has 2^DEPTH_BITS places
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire in_last,
    input wire [BITS-1:0] in_data,
    output wire out_valid,
    input wire out_ready,
    output wire [BITS-1:0] out_data,
    input wire taken,
    output wire broken  // of the oldest packet whose class has not been taken
);
    reg filling, dropping;
    reg [(1<<DEPTH_BITS)-1:0] flags;
    reg [DEPTH_BITS:0] first, next;
    wire last_word;
    wire full = (next[DEPTH_BITS-1:0] == first[DEPTH_BITS-1:0]) & (next[DEPTH_BITS] != first[DEPTH_BITS]);
    wire pass = out_valid & out_ready;
    wire ends = in_last & in_valid;

    assign out_valid = !reset & !dropping & !full & (filling | in_valid);
    assign out_data = filling ? {BITS{1'b0}} : in_data;
    assign in_ready = !reset & (dropping | (!filling & !full & out_ready));
    assign broken = flags[first[DEPTH_BITS-1:0]];

    binarynet_loop #(.COUNT(WORDS)) words (.clk(clk), .reset(reset), .step(pass), .last(last_word));

    always @(posedge clk)
        if (reset) begin
            filling <= 1'b0;
            dropping <= 1'b0;
            first <= {DEPTH_BITS + 1{1'b0}};
            next <= {DEPTH_BITS + 1{1'b0}};
        end else begin
            if (dropping) dropping <= !ends;
            else if (pass & last_word) dropping <= !filling & !in_last;
            if (pass) filling <= !last_word & (filling | in_last);
            if (pass & last_word) begin
                flags[next[DEPTH_BITS-1:0]] <= filling | !in_last;
                next <= next + 1'b1;
            end
            if (taken) first <= first + 1'b1;
        end
endmodule
