// Constants from a file of hexadecimal words, read with one clock of delay: a block RAM that is never written.
module binarynet_rom #(
    parameter WIDTH = 8,
    parameter WORDS = 2,
    parameter FILE = "",
    parameter BITS = (WORDS > 1) ? $clog2(WORDS) : 1
) (
    input wire clk,
    input wire read,
    input wire [BITS-1:0] address,
    output reg [WIDTH-1:0] data
);
    reg [WIDTH-1:0] words[0:WORDS-1];

    generate  // tools also look at a module by itself, with parameters as they stand above
        if (FILE != "") begin : contents
            initial $readmemh(FILE, words);
        end
    endgenerate

    always @(posedge clk) if (read) data <= words[address];
endmodule
