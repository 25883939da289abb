// Constants in the order in which they are needed, round and round. `data` is the current word; `step` moves on. The memory
// is asked for the next word by an address that a register holds, so its first word is there two clocks after a reset, and
// with KEPT, which puts a register behind the memory, three: nobody has a step before.
module binarynet_sequence #(
    parameter WIDTH = 8,
    parameter WORDS = 2,
    parameter FILE = "",
    parameter KEPT = 0,
    parameter BITS = (WORDS > 1) ? $clog2(WORDS) : 1
) (
    input wire clk,
    input wire reset,
    input wire step,
    output wire [WIDTH-1:0] data
);
    localparam [31:0] LAST = WORDS - 1;

    reg [BITS-1:0] address;  // of the next word
    reg [KEPT:0] begun;
    wire [KEPT+1:0] since_unused = {begun, 1'b1};  // the highest is gone
    wire fetch = step | !begun[KEPT];
    wire [WIDTH-1:0] word;

    always @(posedge clk)
        if (reset) begin
            address <= {BITS{1'b0}};
            begun <= {KEPT + 1{1'b0}};
        end else begin
            begun <= since_unused[KEPT:0];
            if (fetch) address <= (address == LAST[BITS-1:0]) ? {BITS{1'b0}} : address + 1'b1;
        end

    binarynet_rom #(.WIDTH(WIDTH), .WORDS(WORDS), .FILE(FILE)) rom (
        .clk(clk), .read(fetch), .address(address), .data(word));

    generate
        if (KEPT != 0) begin : behind
            reg [WIDTH-1:0] kept;
            always @(posedge clk) if (fetch) kept <= word;
            assign data = kept;
        end else begin : direct
            assign data = word;
        end
    endgenerate
endmodule
