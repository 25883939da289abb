// Lets no more images in than the queue at the end has places for, so that nothing between them ever has to wait.
// An image is WORDS words; `taken` says that one has left.
module binarynet_admit #(
    parameter WORDS = 1,
    parameter DEPTH_BITS = 5  // the queue has 2^DEPTH_BITS places
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire taken
);
    localparam [31:0] PLACES = 1 << DEPTH_BITS;

    reg [DEPTH_BITS:0] present;  // images that came in and have not left
    reg full, midway;  // no place for another image; its first word has come
    wire last;
    wire take = in_valid & in_ready;
    wire begins = take & !midway;
    wire [DEPTH_BITS:0] next = present + {{DEPTH_BITS{1'b0}}, begins} - {{DEPTH_BITS{1'b0}}, taken};

    assign in_ready = midway | !full;

    binarynet_loop #(.COUNT(WORDS)) words (.clk(clk), .reset(reset), .step(take), .last(last));

    always @(posedge clk)
        if (reset) begin
            present <= {DEPTH_BITS + 1{1'b0}};
            full <= 1'b0;
            midway <= 1'b0;
        end else begin
            present <= next;
            full <= next == PLACES[DEPTH_BITS:0];
            if (take) midway <= !last;
        end
endmodule
