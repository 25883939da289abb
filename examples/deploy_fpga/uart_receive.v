// The receiver of a serial line: 8 bits, no parity, one stop bit, DIVIDER clocks each. `valid` is 1 for one clock with
// each byte. A byte whose stop bit is missing is dropped.
module uart_receive #(
    parameter DIVIDER = 104
) (
    input wire clk,
    input wire reset,
    input wire rx,
    output reg valid,
    output reg [7:0] data
);
    localparam BITS = $clog2(DIVIDER + 1);
    localparam [31:0] WHOLE = DIVIDER - 1;
    localparam [31:0] HALF = DIVIDER / 2;

    reg [2:0] line;  // two registers against metastability, and the level before
    reg [BITS-1:0] clocks;
    reg [3:0] left;  // bits of this byte that have not come; the stop bit is one

    always @(posedge clk) begin
        line <= {line[1:0], rx};
        valid <= 1'b0;
        if (reset) begin
            line <= 3'b111;
            left <= 4'd0;
        end else if (left == 4'd0) begin
            if (line[2:1] == 2'b10) begin
                left <= 4'd10;
                clocks <= HALF[BITS-1:0];  // to the middle of the start bit
            end
        end else if (clocks != {BITS{1'b0}}) clocks <= clocks - 1'b1;
        else begin
            clocks <= WHOLE[BITS-1:0];
            left <= left - 4'd1;
            if (left == 4'd10) begin
                if (line[1]) left <= 4'd0;  // a spike, no start bit
            end else if (left == 4'd1) valid <= line[1];
            else data <= {line[1], data[7:1]};
        end
    end
endmodule
