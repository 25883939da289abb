// How many bits are 1: counters of a few bits that are one look-up table for each digit, then carry chains.
//
// Six bits are three tables of six inputs; where tables have four inputs, three bits are two (a full adder). Of many such
// numbers each digit is counted by the same tables again (a compressor tree), as long as there are five or more and
// tables have six inputs. Few numbers are added: those adders are carry chains on every family.
module binarynet_count #(
    parameter INPUTS = 6,
    parameter LUT = 6,  // inputs of the family's look-up tables: 6 or 4
    parameter BITS = $clog2(INPUTS + 1)
) (
    input wire [INPUTS-1:0] bits,
    output wire [BITS-1:0] count
);
    localparam LEAF = (LUT >= 6) ? 6 : 3;
    localparam LEAVES = (INPUTS + LEAF - 1) / LEAF;
    localparam HALF = (LEAVES > 1) ? LEAF << ($clog2(LEAVES) - 1) : 1;  // the tree's left half is full
    localparam LEFT = $clog2(HALF + 1);
    localparam RIGHT = (INPUTS > HALF) ? $clog2(INPUTS - HALF + 1) : 1;
    localparam REST = INPUTS - LEAF * (LEAVES - 1);  // bits of the last leaf
    localparam DIGITS = $clog2(REST + 1);
    localparam EACH = $clog2(LEAVES + 1);

    // For each state of six bits, how many are 1: its digits. Of fewer bits these are the tables' lower parts.
    localparam [191:0] TABLES = {64'hfee8e880e8808000, 64'h8117177e177e7ee8, 64'h6996966996696996};
    // The same of three bits and a number of three digits (lowest).
    localparam [255:0] MORE =
        {64'he0c0c080c0808000, 64'h1e3c3c783c7878f0, 64'h99333366336666cc, 64'h55aaaa55aa5555aa};

    generate
        if (INPUTS == 1) begin : one
            assign count = bits;
        end else if (INPUTS <= LEAF) begin : leaf
            // A truth table for each digit: written as sums, these would become carry chains.
            genvar d;
            for (d = 0; d < BITS; d = d + 1) begin : digit
                localparam [(1<<INPUTS)-1:0] TABLE = TABLES[64*d+:(1<<INPUTS)];
                assign count[d] = TABLE[bits];
            end
        end else if (LUT >= 6 && INPUTS <= 9) begin : few_more
            wire [2:0] six;
            wire [6:0] state_unused = {{(10 - INPUTS) {1'b0}}, bits[INPUTS-1:6], six};  // no more than six digits
            genvar m;
            binarynet_count #(.INPUTS(6), .LUT(LUT)) counter (.bits(bits[5:0]), .count(six));
            for (m = 0; m < BITS; m = m + 1) begin : digit
                localparam [63:0] TABLE = MORE[64*m+:64];
                assign count[m] = TABLE[state_unused[5:0]];
            end
        end else if (LUT >= 6 && LEAVES > 4) begin : compressor
            wire [LEAVES-1:0] ones, twos, fours;
            genvar c;
            for (c = 0; c < LEAVES; c = c + 1) begin : six
                if (c < LEAVES - 1 || REST == 6) begin : full
                    binarynet_count #(.INPUTS(6), .LUT(LUT)) counter (
                        .bits(bits[6*c+:6]), .count({fours[c], twos[c], ones[c]}));
                end else begin : rest
                    wire [DIGITS-1:0] few;
                    wire [2:0] three = {{(3 - DIGITS) {1'b0}}, few};
                    binarynet_count #(.INPUTS(REST), .LUT(LUT)) counter (.bits(bits[INPUTS-1:6*c]), .count(few));
                    assign {fours[c], twos[c], ones[c]} = three;
                end
            end
            wire [EACH-1:0] count_1, count_2, count_4;
            binarynet_count #(.INPUTS(LEAVES), .LUT(LUT)) of_ones (.bits(ones), .count(count_1));
            binarynet_count #(.INPUTS(LEAVES), .LUT(LUT)) of_twos (.bits(twos), .count(count_2));
            binarynet_count #(.INPUTS(LEAVES), .LUT(LUT)) of_fours (.bits(fours), .count(count_4));
            // The lowest digits go by the adders: first that of the ones, then that of the twos.
            wire [EACH:0] of_two = {2'd0, count_1[EACH-1:1]} + {1'b0, count_2};
            wire [BITS-3:0] of_four = {{(BITS - 2 - EACH) {1'b0}}, of_two[EACH:1]} + {{(BITS - 2 - EACH) {1'b0}}, count_4};
            assign count = {of_four, of_two[0], count_1[0]};
        end else begin : tree
            wire [LEFT-1:0] left;
            wire [RIGHT-1:0] right;
            wire [BITS-1:0] a = {{(BITS - LEFT) {1'b0}}, left};
            wire [BITS-1:0] b = {{(BITS - RIGHT) {1'b0}}, right};
            binarynet_count #(.INPUTS(HALF), .LUT(LUT)) former (.bits(bits[HALF-1:0]), .count(left));
            binarynet_count #(.INPUTS(INPUTS - HALF), .LUT(LUT)) later (.bits(bits[INPUTS-1:HALF]), .count(right));
            assign count = a + b;
        end
    endgenerate
endmodule
