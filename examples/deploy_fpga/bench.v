// The board and a host at the other end of its line: sends every image of net_images.hex bit by bit and compares the byte
// that comes back with the class in net_expected.hex. First it sends images that lack their last byte, and half of their
// bytes, and wants 255 for each.
module bench #(
    parameter DIVIDER = 8,
    parameter BYTES = 64,
    parameter PAUSE = 400,
    parameter CLOCKS = 1000000  // that an image may take
);
    reg clk = 1'b0;
    reg rx = 1'b1;
    reg begun = 1'b0;
    wire tx, valid;
    wire [7:0] answer, data;
    serial_net #(.DIVIDER(DIVIDER), .BYTES(BYTES), .PAUSE(PAUSE)) dut (.clk(clk), .rx(rx), .tx(tx), .answer(answer));
    uart_receive #(.DIVIDER(DIVIDER)) host (.clk(clk), .reset(!begun), .rx(tx), .valid(valid), .data(data));
    always #5 clk = !clk;

    integer images, expected, code, k, bit_, clocks, right;
    reg [7:0] value, found;
    reg [1023:0] rest;
    reg more, here;

    task send;
        input [7:0] byte_;
        begin
            rx = 1'b0;
            repeat (DIVIDER) @(negedge clk);
            for (bit_ = 0; bit_ < 8; bit_ = bit_ + 1) begin
                rx = byte_[bit_];
                repeat (DIVIDER) @(negedge clk);
            end
            rx = 1'b1;
            repeat (DIVIDER) @(negedge clk);
        end
    endtask

    // An answer may come while the last bit of an image is still on its way.
    always @(posedge clk) if (valid) begin
        here = 1'b1;
        found = data;
    end

    task want;
        input [7:0] wanted;
        begin
            for (clocks = 0; clocks < CLOCKS && !here; clocks = clocks + 1) @(negedge clk);
            if (!here || found !== wanted) begin
                $display("FAIL: answer %0d (%0d: none), wanted %0d", found, here, wanted);
                $finish;
                more = 1'b0;
            end else right = right + 1;
            here = 1'b0;
        end
    endtask

    initial begin
        images = $fopen("net_images.hex", "r");
        expected = $fopen("net_expected.hex", "r");
        here = 1'b0;
        more = 1'b1;
        right = 0;
        repeat (1000) @(negedge clk);
        begun = 1'b1;
        for (k = 1; k < BYTES; k = k + 1) send(k[7:0]);
        want(8'd255);
        for (k = 0; k < BYTES / 2; k = k + 1) send(k[7:0]);
        want(8'd255);
        while (more) begin
            for (k = 0; k < BYTES && more; k = k + 1) begin
                code = $fscanf(images, "%h", value);
                more = code == 1;
                if (more) send(value);
            end
            if (more) begin
                code = $fscanf(expected, "%h", value);
                if (code != 1) more = 1'b0;
                code = $fgets(rest, expected);
                want(value);
            end
        end
        if (right > 2) $display("PASS %0d images behind two broken ones", right - 2);
        $finish;
    end
endmodule
