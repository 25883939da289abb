// The window of an unrolled layer: all of its taps in one clock, the next place in the next.
//
// Pixels come in whole. The rows under the window lie in a circular buffer, as in binarynet_window, of which there is a
// copy for each row of the kernel: so a column of the window is read in one clock, from KERNEL_Y memories, without a
// multiplexer. Columns move along a shift register, and a place goes out when its last column has come:
//
//     for out_y, for column: one step, one clock
//
// A place whose last columns lie right of the image is whole only while the next row moves in behind it. Those columns
// are padding, so nothing is lost; where the next row has not come yet, empty steps push the place out.
//
// What lies outside reads as FILL. The flags say so for each row and column of the kernel, for thresholds that differ
// at a border. Needs LEFT <= DILATION_X * (KERNEL_X - 1), so that the first column always completes at most one place.
module binarynet_columns #(
    parameter WIDTH = 8,  // bits of a pixel
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
    parameter FEEDS = 1,  // columns that move in for each row of places
    parameter [WIDTH-1:0] FILL = 0
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [WIDTH-1:0] in_data,
    input wire advance,
    output reg valid,
    output reg [KERNEL_Y*KERNEL_X*WIDTH-1:0] data,  // [row][column][pixel]
    output reg [KERNEL_Y-1:0] outside_y,
    output reg [KERNEL_X-1:0] outside_x
);
    localparam SIZE = ROWS * COLUMNS;
    localparam A = (SIZE > 1) ? $clog2(SIZE) : 1;
    localparam REACH_X = DILATION_X * (KERNEL_X - 1) + 1;
    localparam XB = $clog2(FEEDS + COLUMNS + LEFT + RIGHT + REACH_X + STRIDE_X + 2) + 1;
    localparam XBITS = (XB > A) ? XB : A;
    localparam YBITS = $clog2(HEIGHT + TOP + BOTTOM + STRIDE_Y + DILATION_Y * KERNEL_Y + ROWS + 1) + 1;

    localparam [31:0] LAST_ADDRESS = SIZE - 1;
    localparam [31:0] IMAGE_LEFT = LEFT;
    localparam [31:0] IMAGE_COLUMNS = COLUMNS;
    localparam [31:0] IMAGE_TOP = TOP;
    localparam [31:0] IMAGE_BOTTOM = TOP + HEIGHT;
    localparam [31:0] IMAGE_ROWS = HEIGHT;
    localparam [31:0] BUFFER_ROWS = ROWS;
    localparam [31:0] REACH = DILATION_Y * (KERNEL_Y - 1) + 1;
    localparam [31:0] MOVE_X = STRIDE_X;
    localparam [31:0] MOVE_Y = STRIDE_Y;
    localparam [31:0] STEP_Y = DILATION_Y;
    localparam [31:0] ROW_FEEDS = FEEDS;
    localparam [31:0] COMPLETE = REACH_X - 1 - LEFT;  // the column that completes the first place
    localparam [31:0] START_BASE = ((ROWS - TOP % ROWS) % ROWS) * COLUMNS;
    localparam [31:0] PITCH = COLUMNS;

    // ---- writing ----
    reg [A-1:0] write_address;
    reg [YBITS-1:0] arrived;  // the padding above counts as arrived
    wire write = in_valid & in_ready;
    wire row_written, image_done;

    binarynet_loop #(.COUNT(COLUMNS)) words_of_a_row (.clk(clk), .reset(reset), .step(write), .last(row_written));

    always @(posedge clk) begin
        if (reset) write_address <= {A{1'b0}};
        else if (write) write_address <= (write_address == LAST_ADDRESS[A-1:0]) ? {A{1'b0}} : write_address + 1'b1;
        if (reset) arrived <= IMAGE_TOP[YBITS-1:0];
        else
            arrived <= arrived + {{(YBITS - 1) {1'b0}}, write & row_written}
                - (image_done ? IMAGE_ROWS[YBITS-1:0] : {YBITS{1'b0}});
    end

    // ---- walking ----
    reg [YBITS-1:0] top;  // of the window, in the padded image
    reg [A-1:0] image_base, top_base;  // where the image's first row and `top` lie in the buffer
    reg [XBITS-1:0] column;  // that moves in next
    reg [XBITS-1:0] left, since;  // of the next place that goes out; steps since its row began

    wire last_column, last_row, last_place;
    wire [YBITS-1:0] kept = (top > IMAGE_TOP[YBITS-1:0]) ? top : IMAGE_TOP[YBITS-1:0];
    wire [YBITS-1:0] bottom = top + REACH[YBITS-1:0];
    wire whole = last_row | (bottom > IMAGE_BOTTOM[YBITS-1:0]);
    wire there = arrived >= (whole ? IMAGE_BOTTOM[YBITS-1:0] : bottom);
    wire late = since >= ROW_FEEDS[XBITS-1:0];  // the place belongs to the row that has already moved in
    wire step = advance & (there | (late & column == {XBITS{1'b0}}));
    wire feed = step & there;
    wire row_done = feed & last_column;
    wire issue = step & (since == left + COMPLETE[XBITS-1:0]);

    assign in_ready = arrived < kept + BUFFER_ROWS[YBITS-1:0];
    assign image_done = row_done & last_row;

    binarynet_loop #(.COUNT(FEEDS)) feeds (.clk(clk), .reset(reset), .step(feed), .last(last_column));
    binarynet_loop #(.COUNT(OUT_HEIGHT)) out_y (.clk(clk), .reset(reset), .step(row_done), .last(last_row));
    binarynet_loop #(.COUNT(OUT_COLUMNS)) out_x (.clk(clk), .reset(reset), .step(issue), .last(last_place));

    // `base` moved by some rows in the circle of ROWS rows.
    function [A-1:0] moved;
        input [A-1:0] base;
        input [31:0] rows;
        reg [32:0] sum;
        begin
            sum = {{(33 - A) {1'b0}}, base} + {1'b0, (rows % BUFFER_ROWS) * PITCH};
            if (sum >= {1'b0, SIZE[31:0]}) sum = sum - {1'b0, SIZE[31:0]};
            moved = sum[A-1:0];
        end
    endfunction

    wire [A-1:0] next_image = moved(image_base, IMAGE_ROWS);
    wire [XBITS-1:0] next_column = !feed ? column : last_column ? {XBITS{1'b0}} : column + 1'b1;

    always @(posedge clk)
        if (reset) begin
            top <= {YBITS{1'b0}};
            image_base <= START_BASE[A-1:0];
            top_base <= START_BASE[A-1:0];
            column <= {XBITS{1'b0}};
            left <= {XBITS{1'b0}};
            since <= {XBITS{1'b0}};
        end else if (step) begin
            column <= next_column;
            since <= (issue & last_place) ? next_column : since + 1'b1;
            if (issue) left <= last_place ? {XBITS{1'b0}} : left + MOVE_X[XBITS-1:0];
            if (row_done) begin
                top <= last_row ? {YBITS{1'b0}} : top + MOVE_Y[YBITS-1:0];
                top_base <= last_row ? next_image : moved(top_base, MOVE_Y);
                if (last_row) image_base <= next_image;
            end
        end

    // ---- reading: a column a step, then the taps ----
    reg stepped, issued;
    reg [KERNEL_Y-1:0] row_outside, held_outside, place_outside;
    reg [KERNEL_X-1:0] column_outside;
    wire [KERNEL_Y-1:0] above_or_below;
    wire [KERNEL_X-1:0] beside;

    always @(posedge clk) begin
        if (reset) begin
            issued <= 1'b0;
            valid <= 1'b0;
        end else if (advance) begin
            issued <= issue;
            valid <= issued;
        end
        if (advance) begin
            stepped <= step;
            row_outside <= above_or_below;
            if (row_done) held_outside <= above_or_below;
            place_outside <= late ? held_outside : above_or_below;
            column_outside <= beside;
            outside_y <= place_outside;
            outside_x <= column_outside;
        end
    end

    genvar y, k;
    generate
        for (k = 0; k < KERNEL_X; k = k + 1) begin : across
            localparam [31:0] SHIFT = k * DILATION_X;
            wire [XBITS-1:0] place = left + SHIFT[XBITS-1:0] - IMAGE_LEFT[XBITS-1:0];
            assign beside[k] = place >= IMAGE_COLUMNS[XBITS-1:0];
        end
        for (y = 0; y < KERNEL_Y; y = y + 1) begin : row
            localparam [31:0] DOWN = y * STEP_Y;
            wire [YBITS-1:0] place = top + DOWN[YBITS-1:0] - IMAGE_TOP[YBITS-1:0];
            wire [A-1:0] address = moved(top_base, DOWN) + column[A-1:0];
            reg [WIDTH-1:0] memory[0:SIZE-1];
            reg [WIDTH-1:0] pixel;
            wire [WIDTH-1:0] come = row_outside[y] ? FILL : pixel;
            wire [REACH_X*WIDTH-1:0] moved_in;  // the newest column lowest
            assign above_or_below[y] = place >= IMAGE_ROWS[YBITS-1:0];

            always @(posedge clk) begin
                if (write) memory[write_address] <= in_data;
                if (advance) pixel <= memory[address];
            end

            if (REACH_X > 1) begin : wide
                reg [(REACH_X-1)*WIDTH-1:0] line;
                assign moved_in = {line, come};
                always @(posedge clk) if (advance & stepped) line <= moved_in[(REACH_X-1)*WIDTH-1:0];
            end else begin : narrow
                assign moved_in = come;
            end

            for (k = 0; k < KERNEL_X; k = k + 1) begin : tap
                localparam OLD = (KERNEL_X - 1 - k) * DILATION_X;
                always @(posedge clk)
                    if (advance)
                        data[(y*KERNEL_X+k)*WIDTH+:WIDTH] <= column_outside[k] ? FILL : moved_in[OLD*WIDTH+:WIDTH];
            end
        end
    endgenerate
endmodule
