// Constants in the order in which they are needed, round and round. `data` is the current word; `step` moves on.
module binarynet_sequence #(
    parameter WIDTH = 8,
    parameter WORDS = 2,
    parameter FILE = "",
    parameter BITS = (WORDS > 1) ? $clog2(WORDS) : 1
) (
    input wire clk,
    input wire reset,
    input wire step,
    output wire [WIDTH-1:0] data
);
    localparam [31:0] LAST = WORDS - 1;
    localparam [31:0] ONE = 1;

    reg [BITS-1:0] address;
    // The memory answers one clock later, so it is asked for the word of the next clock.
    wire [BITS-1:0] next = (reset | (step & address == LAST[BITS-1:0])) ? {BITS{1'b0}} : address + (step ? ONE[BITS-1:0] : {BITS{1'b0}});

    always @(posedge clk) address <= next;

    binarynet_rom #(.WIDTH(WIDTH), .WORDS(WORDS), .FILE(FILE)) rom (
        .clk(clk), .read(1'b1), .address(next), .data(data));
endmodule
