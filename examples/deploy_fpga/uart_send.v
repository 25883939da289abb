// The sender of a serial line: 8 bits, no parity, one stop bit, DIVIDER clocks each.
module uart_send #(
    parameter DIVIDER = 104
) (
    input wire clk,
    input wire reset,
    input wire valid,
    output wire ready,
    input wire [7:0] data,
    output wire tx
);
    localparam BITS = $clog2(DIVIDER + 1);
    localparam [31:0] WHOLE = DIVIDER - 1;

    reg [8:0] shift;  // start bit first
    reg [BITS-1:0] clocks;
    reg [3:0] left;

    assign ready = left == 4'd0;
    assign tx = ready | shift[0];

    always @(posedge clk)
        if (reset) left <= 4'd0;
        else if (ready) begin
            if (valid) begin
                shift <= {data, 1'b0};
                clocks <= WHOLE[BITS-1:0];
                left <= 4'd10;
            end
        end else if (clocks != {BITS{1'b0}}) clocks <= clocks - 1'b1;
        else begin
            clocks <= WHOLE[BITS-1:0];
            shift <= {1'b1, shift[8:1]};  // the stop bit follows
            left <= left - 4'd1;
        end
endmodule
