// ULX3S (ECP5, 25 MHz): 115,200 baud on US1. The eight LEDs show the last answer.
module ulx3s #(
    parameter BYTES = 784
) (
    input wire clk_25mhz,
    input wire ftdi_txd,  // named as the FTDI chip sees them
    output wire ftdi_rxd,
    output wire wifi_gpio0,  // 1, or the ESP32 takes the board over
    output wire [7:0] led
);
    assign wifi_gpio0 = 1'b1;
    serial_net #(.DIVIDER(217), .BYTES(BYTES), .PAUSE(250000)) board (
        .clk(clk_25mhz), .rx(ftdi_txd), .tx(ftdi_rxd), .answer(led)
    );
endmodule
