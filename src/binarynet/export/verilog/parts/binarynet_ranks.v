// What orders the classes. The model scales each class's integer in float32, which rounds: logits of two classes may
// become equal, or change places. So the float32 logits of all classes at all STATES sums were sorted beforehand, equal
// ones with equal numbers, and here a sum is looked up: comparing ranks is comparing the float32 logits.
module binarynet_ranks #(
    parameter CLASSES = 10,
    parameter STATES = 65,
    parameter BITS = 8,  // of a sum
    parameter RANK_BITS = 10,
    parameter FILE = ""  // class after class
) (
    input wire clk,
    input wire reset,
    input wire advance,
    input wire in_valid,
    input wire [BITS-1:0] in_data,
    output wire [RANK_BITS-1:0] rank
);
    localparam A = $clog2(CLASSES * STATES + 1);
    localparam [31:0] PITCH = STATES;

    reg [A-1:0] start;  // where this class's part of the table begins
    reg [A-1:0] offset;
    wire last;

    always @* begin
        offset = {A{1'b0}};
        offset[BITS-1:0] = in_data;
    end

    binarynet_loop #(.COUNT(CLASSES)) classes (
        .clk(clk), .reset(reset), .step(in_valid & advance), .last(last));

    always @(posedge clk)
        if (reset) start <= {A{1'b0}};
        else if (in_valid & advance) start <= last ? {A{1'b0}} : start + PITCH[A-1:0];

    binarynet_rom #(.WIDTH(RANK_BITS), .WORDS(CLASSES * STATES), .FILE(FILE), .BITS(A)) rom (
        .clk(clk), .read(advance), .address(start + offset), .data(rank));
endmodule
