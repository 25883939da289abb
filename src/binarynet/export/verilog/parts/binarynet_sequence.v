// Constants in the order in which they are needed, round and round. `data` is the current word; `step` moves on. The memory
// is asked for the next word by an address that a register holds, so its first word is there two clocks after a reset:
// nobody has a step before.
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

    reg [BITS-1:0] address;  // of the next word
    reg begun;
    wire fetch = step | !begun;

    always @(posedge clk)
        if (reset) begin
            address <= {BITS{1'b0}};
            begun <= 1'b0;
        end else begin
            begun <= 1'b1;
            if (fetch) address <= (address == LAST[BITS-1:0]) ? {BITS{1'b0}} : address + 1'b1;
        end

    binarynet_rom #(.WIDTH(WIDTH), .WORDS(WORDS), .FILE(FILE)) rom (
        .clk(clk), .read(fetch), .address(address), .data(data));
endmodule
