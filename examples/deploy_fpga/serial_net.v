// An exported net behind a serial line: an image comes as BYTES bytes, its class goes back as one byte.
//
// An image that stops for PAUSE clocks has ended. It is filled up, and 255 goes back instead of a class: so one lost byte
// costs one image. A byte that comes while the one before it still waits for the net is lost, and found in the same way.
module serial_net #(
    parameter DIVIDER = 104,  // clocks of a bit
    parameter BYTES = 64,
    parameter PAUSE = 120000
) (
    input wire clk,
    input wire rx,
    output wire tx,
    output reg [7:0] answer  // the last one
);
    localparam COUNT = $clog2(BYTES + 1);
    localparam WAIT = $clog2(PAUSE + 1);
    localparam [31:0] LAST = BYTES - 1;
    localparam [31:0] LONG = PAUSE - 1;

    // Memories of an iCE40 read as 0 in the first microseconds after configuration.
    reg [9:0] since_power = 10'd0;
    wire reset = !since_power[9];
    always @(posedge clk) if (reset) since_power <= since_power + 10'd1;

    wire came;
    wire [7:0] received;
    uart_receive #(.DIVIDER(DIVIDER)) receiver (.clk(clk), .reset(reset), .rx(rx), .valid(came), .data(received));

    // The byte that waits for the net.
    reg full, last;
    reg [7:0] word;
    wire ready;
    reg [COUNT-1:0] count;  // bytes of this image
    reg [WAIT-1:0] idle;  // clocks since the last of them
    wire over = idle == LONG[WAIT-1:0];
    wire take = came & (!full | ready);
    wire cut = over & !came & !full;
    wire end_ = count == LAST[COUNT-1:0];
    reg extra;  // an image that lacks its last byte alone must not become whole: it gets one too many
    wire more = cut & end_ & !extra;

    always @(posedge clk)
        if (reset) begin
            full <= 1'b0;
            count <= {COUNT{1'b0}};
            idle <= {WAIT{1'b0}};
            extra <= 1'b0;
        end else begin
            if (take | cut) begin
                word <= received;
                last <= !more & (cut | end_);
                count <= more ? count : (cut | end_) ? {COUNT{1'b0}} : count + 1'b1;
                extra <= more;
            end
            full <= take | cut | (full & !ready);
            if (came | (cut & !more) | count == {COUNT{1'b0}}) idle <= {WAIT{1'b0}};
            else if (!over) idle <= idle + 1'b1;
        end

    wire valid, free, broken, single_unused;
    wire [7:0] class_;
    net_axis net (
        .aclk(clk), .aresetn(!reset), .s_axis_tvalid(full), .s_axis_tready(ready), .s_axis_tdata(word),
        .s_axis_tlast(last), .m_axis_tvalid(valid), .m_axis_tready(free), .m_axis_tdata(class_),
        .m_axis_tlast(single_unused), .m_axis_tuser(broken)
    );
    wire [7:0] said = broken ? 8'd255 : class_;
    uart_send #(.DIVIDER(DIVIDER)) sender (.clk(clk), .reset(reset), .valid(valid), .ready(free), .data(said), .tx(tx));
    always @(posedge clk)
        if (reset) answer <= 8'd0;
        else if (valid & free) answer <= said;
endmodule
