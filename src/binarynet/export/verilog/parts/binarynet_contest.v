// The class whose key is largest, the first of equals, out of keys that stand side by side; new ones in every clock.
// Two by two they are compared, with a register behind each comparison: LEVELS clocks.
module binarynet_contest #(
    parameter CLASSES = 10,
    parameter KEY_BITS = 8,
    parameter CLASS_BITS = 4,
    parameter LEVELS = 4,  // 2^LEVELS is CLASSES at least
    parameter FIRST = 0  // the number of the first of them
) (
    input wire clk,
    input wire [CLASSES*KEY_BITS-1:0] keys,
    output wire [KEY_BITS-1:0] best,
    output wire [CLASS_BITS-1:0] class_
);
    localparam HALF = (LEVELS > 0) ? 1 << (LEVELS - 1) : 1;
    localparam [31:0] NUMBER = FIRST;

    generate
        if (LEVELS == 0) begin : alone
            wire clk_unused = clk;
            assign best = keys;
            assign class_ = NUMBER[CLASS_BITS-1:0];
        end else begin : many
            reg [KEY_BITS-1:0] held;
            reg [CLASS_BITS-1:0] held_class;
            assign best = held;
            assign class_ = held_class;
            wire [KEY_BITS-1:0] left;
            wire [CLASS_BITS-1:0] left_class;
            if (CLASSES <= HALF) begin : wait_
                binarynet_contest #(
                    .CLASSES(CLASSES), .KEY_BITS(KEY_BITS), .CLASS_BITS(CLASS_BITS), .LEVELS(LEVELS - 1), .FIRST(FIRST)
                ) earlier (
                    .clk(clk), .keys(keys), .best(left), .class_(left_class)
                );
                always @(posedge clk) begin
                    held <= left;
                    held_class <= left_class;
                end
            end else begin : both
                wire [KEY_BITS-1:0] right;
                wire [CLASS_BITS-1:0] right_class;
                binarynet_contest #(
                    .CLASSES(HALF), .KEY_BITS(KEY_BITS), .CLASS_BITS(CLASS_BITS), .LEVELS(LEVELS - 1), .FIRST(FIRST)
                ) former (
                    .clk(clk), .keys(keys[HALF*KEY_BITS-1:0]), .best(left), .class_(left_class)
                );
                binarynet_contest #(
                    .CLASSES(CLASSES - HALF), .KEY_BITS(KEY_BITS), .CLASS_BITS(CLASS_BITS), .LEVELS(LEVELS - 1),
                    .FIRST(FIRST + HALF)
                ) later (
                    .clk(clk), .keys(keys[CLASSES*KEY_BITS-1:HALF*KEY_BITS]), .best(right), .class_(right_class)
                );
                wire wins = right > left;
                always @(posedge clk) begin
                    held <= wins ? right : left;
                    held_class <= wins ? right_class : left_class;
                end
            end
        end
    endgenerate
endmodule
