// A product of two numbers that are +1 (bit 1) or -1 (bit 0).
module xnor_gate (
    input wire a,
    input wire b,
    output wire product
);
    assign product = a ~^ b;
endmodule
