// The sliding window: keeps the last ROWS rows of an image, and walks over what lies under the window.
//
// A pixel comes in as WORDS words, one behind the other. For every place of the window, from left to right and from
// top to bottom, the walk is repeated TILES times, once for each group of outputs that are computed in parallel:
//
//     for out_y, for out_x, for tile, for kernel_y, for kernel_x, for word of the pixel: one step, one clock
//
// Pooling treats each channel by itself: with ALONG = 1 tile t sees word t of each pixel only. A vector is an image of
// one pixel. A layer behind a Flatten is a window as large as the image: rows, columns, channels are then in order.
//
// The rows lie in a circular buffer. Rows of the next image follow those of this one, so it fills while this one is
// walked. Coordinates count from the corner of the *padded* image, so none is negative; the horizontal ones count
// words, so no address needs a multiplication.
module binarynet_window #(
    parameter WIDTH = 8,
    parameter WORDS = 1,
    parameter HEIGHT = 1,
    parameter COLUMNS = 1,
    parameter KERNEL_Y = 1,
    parameter KERNEL_X = 1,
    parameter STRIDE_Y = 1,
    parameter STRIDE_X = 1,
    parameter DILATION_Y = 1,
    parameter DILATION_X = 1,
    parameter TOP = 0,
    parameter BOTTOM = 0,
    parameter LEFT = 0,
    parameter RIGHT = 0,
    parameter OUT_HEIGHT = 1,
    parameter OUT_COLUMNS = 1,
    parameter ROWS = 2,
    parameter TILES = 1,
    parameter ALONG = 0
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [WIDTH-1:0] in_data,
    input wire advance,  // the reader takes a step if there is one
    output reg valid,  // a step: what follows belongs to it
    output reg [WIDTH-1:0] data,
    output reg outside,  // the step lies on the padding, data means nothing
    output reg first,  // the first step of a tile
    output reg last,  // the last step of a tile
    output reg tail  // the last word of a pixel, which may hold fewer values
);
    localparam PITCH = COLUMNS * WORDS;  // words of a row
    localparam SIZE = ROWS * PITCH;
    localparam A = (SIZE > 1) ? $clog2(SIZE) : 1;  // bits of an address
    localparam XB = $clog2((COLUMNS + LEFT + RIGHT + STRIDE_X + DILATION_X) * WORDS + 1);
    localparam XBITS = (XB > A) ? XB : A;
    localparam YBITS = $clog2(HEIGHT + TOP + BOTTOM + STRIDE_Y + DILATION_Y + ROWS + 1) + 1;

    // Sizes as vectors, so that comparisons are between equals.
    localparam [31:0] LAST_ADDRESS = SIZE - 1;
    localparam [31:0] IMAGE_LEFT = LEFT * WORDS;
    localparam [31:0] IMAGE_COLUMNS = COLUMNS * WORDS;
    localparam [31:0] IMAGE_TOP = TOP;
    localparam [31:0] IMAGE_BOTTOM = TOP + HEIGHT;
    localparam [31:0] IMAGE_ROWS = HEIGHT;
    localparam [31:0] BUFFER_ROWS = ROWS;
    localparam [31:0] REACH = DILATION_Y * (KERNEL_Y - 1) + 1;
    localparam [31:0] STEP_X = DILATION_X * WORDS;
    localparam [31:0] STEP_Y = DILATION_Y;
    localparam [31:0] MOVE_X = STRIDE_X * WORDS;
    localparam [31:0] MOVE_Y = STRIDE_Y;
    localparam [31:0] START_BASE = ((ROWS - TOP % ROWS) % ROWS) * PITCH;

    // ---- writing ----
    reg [WIDTH-1:0] memory[0:SIZE-1];
    reg [A-1:0] write_address;
    reg [YBITS-1:0] arrived;  // the padding above counts as arrived
    wire write = in_valid & in_ready;
    wire row_written;
    wire issue;  // a step begins: its data is there one clock later
    wire image_done;

    binarynet_loop #(.COUNT(PITCH)) words_of_a_row (.clk(clk), .reset(reset), .step(write), .last(row_written));

    always @(posedge clk) begin
        if (write) memory[write_address] <= in_data;
        if (reset) write_address <= {A{1'b0}};
        else if (write) write_address <= (write_address == LAST_ADDRESS[A-1:0]) ? {A{1'b0}} : write_address + 1'b1;
        if (reset) arrived <= IMAGE_TOP[YBITS-1:0];
        else
            arrived <= arrived + {{(YBITS - 1) {1'b0}}, write & row_written}
                - (image_done ? IMAGE_ROWS[YBITS-1:0] : {YBITS{1'b0}});
    end

    // ---- walking ----
    reg [YBITS-1:0] top, row;  // of the window; of the place in it
    reg [XBITS-1:0] left, column;
    reg [A-1:0] image_base, top_base, row_base;  // where the first row, `top` and `row` lie in the buffer
    wire [A-1:0] word;

    wire last_word, last_x, last_y, last_tile, last_column, last_row;
    wire taps_done = last_word & last_x & last_y;
    wire window_done = taps_done & last_tile;
    wire row_done = window_done & last_column;

    binarynet_loop #(.COUNT(ALONG ? 1 : WORDS)) words (
        .clk(clk), .reset(reset), .step(issue), .last(last_word));
    binarynet_loop #(.COUNT(KERNEL_X)) kernel_x (
        .clk(clk), .reset(reset), .step(issue & last_word), .last(last_x));
    binarynet_loop #(.COUNT(KERNEL_Y)) kernel_y (
        .clk(clk), .reset(reset), .step(issue & last_word & last_x), .last(last_y));
    binarynet_loop #(.COUNT(TILES)) tiles (
        .clk(clk), .reset(reset), .step(issue & taps_done), .last(last_tile));
    binarynet_loop #(.COUNT(OUT_COLUMNS)) out_x (
        .clk(clk), .reset(reset), .step(issue & window_done), .last(last_column));
    binarynet_loop #(.COUNT(OUT_HEIGHT)) out_y (
        .clk(clk), .reset(reset), .step(issue & row_done), .last(last_row));

    assign image_done = issue & row_done & last_row;

    // Rows above the window are free. A row of outputs begins when all rows under its windows have come; the last one
    // when the whole image has, since then the next image begins.
    wire [YBITS-1:0] kept = (top > IMAGE_TOP[YBITS-1:0]) ? top : IMAGE_TOP[YBITS-1:0];
    wire [YBITS-1:0] bottom = top + REACH[YBITS-1:0];
    wire whole = last_row | (bottom > IMAGE_BOTTOM[YBITS-1:0]);
    assign in_ready = arrived < kept + BUFFER_ROWS[YBITS-1:0];
    assign issue = advance & (arrived >= (whole ? IMAGE_BOTTOM[YBITS-1:0] : bottom));

    // `base` moved by some rows in the circle of ROWS rows.
    function [A-1:0] moved;
        input [A-1:0] base;
        input [31:0] rows;
        reg [32:0] sum;
        begin
            sum = {{(33 - A) {1'b0}}, base} + {1'b0, rows * PITCH[31:0]};
            if (sum >= {1'b0, SIZE[31:0]}) sum = sum - {1'b0, SIZE[31:0]};
            moved = sum[A-1:0];
        end
    endfunction

    wire [XBITS-1:0] next_left =
        !window_done ? left : last_column ? {XBITS{1'b0}} : left + MOVE_X[XBITS-1:0];
    wire [YBITS-1:0] next_top =
        !row_done ? top : last_row ? {YBITS{1'b0}} : top + MOVE_Y[YBITS-1:0];
    wire [A-1:0] next_image = moved(image_base, IMAGE_ROWS % BUFFER_ROWS);
    wire [A-1:0] next_base = !row_done ? top_base : last_row ? next_image : moved(top_base, MOVE_Y);

    always @(posedge clk)
        if (reset) begin
            left <= {XBITS{1'b0}};
            column <= {XBITS{1'b0}};
            top <= {YBITS{1'b0}};
            row <= {YBITS{1'b0}};
            image_base <= START_BASE[A-1:0];
            top_base <= START_BASE[A-1:0];
            row_base <= START_BASE[A-1:0];
        end else if (issue) begin
            left <= next_left;
            top <= next_top;
            top_base <= next_base;
            if (row_done & last_row) image_base <= next_image;
            if (last_word) column <= last_x ? next_left : column + STEP_X[XBITS-1:0];
            if (last_word & last_x) begin
                row <= last_y ? next_top : row + STEP_Y[YBITS-1:0];
                row_base <= last_y ? next_base : moved(row_base, STEP_Y);
            end
        end

    // Which word of the pixel: the inner loop's, or with ALONG the tile's.
    generate
        if (WORDS == 1) begin : one_word
            assign word = {A{1'b0}};
        end else begin : many_words
            reg [A-1:0] count;
            wire next = ALONG ? taps_done : 1'b1;
            wire again = ALONG ? window_done : last_word;
            always @(posedge clk)
                if (reset) count <= {A{1'b0}};
                else if (issue & next) count <= again ? {A{1'b0}} : count + 1'b1;
            assign word = count;
        end
    endgenerate

    // Left of the image and above it these wrap round to numbers past its right and its bottom.
    wire [XBITS-1:0] image_column = column - IMAGE_LEFT[XBITS-1:0];
    wire [YBITS-1:0] image_row = row - IMAGE_TOP[YBITS-1:0];
    wire [A-1:0] read_address = row_base + image_column[A-1:0] + word;
    reg fresh;  // the next step begins a tile

    always @(posedge clk) begin
        if (advance) begin
            data <= memory[read_address];
            outside <= (image_row >= IMAGE_ROWS[YBITS-1:0]) | (image_column >= IMAGE_COLUMNS[XBITS-1:0]);
            first <= fresh;
            last <= taps_done;
            tail <= ALONG ? last_tile : last_word;
        end
        if (reset) fresh <= 1'b1;
        else if (issue) fresh <= taps_done;
        if (reset) valid <= 1'b0;
        else if (advance) valid <= issue;
    end
endmodule
