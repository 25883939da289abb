// The matrix products of a training step on the CPU's matrix unit: bfloat16 operands, float32 sums.
//
// A number of 8 significant bits is a bfloat16 as it is: ±1, 0, 2x − 255 of a byte. A product of two of them
// is exact, and so is every sum below 2^24, in any order: such a forward pass has the bits of the float32
// one. What has more significant bits is cut into pieces, x = p0 + p1 + p2, each a bfloat16, and their
// products meet in one sum: two pieces hold 16 bits, three any float32.
//
// The weights are sign(latent), read from the latent float32 weights on the way. Every output is the work of
// one task in a fixed order, so results do not depend on the number of threads.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet::training {

// Has this CPU a matrix unit for bfloat16, and lends the operating system its registers?
bool products_supported();

// The fewest pieces that hold each of x: 1, 2, or 3 (which is "any").
int pieces_of(const float* x, size_t count, int threads);

// What is multiplied: numbers, or ±1 as bits, 32 channels of a row or pixel in a word and zeros beyond, as
// codes.h packs them. One of the two is null; bits are one piece.
// The gradient of a convolution behind which a pool stands may be that of the pool (pool.h): `numbers` are
// (images, height / 2, width / 2, filters) then, and `from` says which of its four pixels each belongs to.
struct Operand {
    const float* numbers = nullptr;
    const uint32_t* signs = nullptr;
    const uint8_t* from = nullptr;
};

struct LinearShape {
    size_t batch, depth, channels;
};

// y = x sign(w)^T. x (batch, depth), w (channels, depth), y (batch, channels); the linear_sign_words() signs
// are written for the next. False: w holds NaN, which has no sign, and y is nothing.
size_t linear_sign_words(const LinearShape& shape);
bool linear(const LinearShape& shape, const Operand& x, int pieces, const float* w, float* y, uint32_t* signs,
            int threads);
// dx = g sign(w). g (batch, channels), dx (batch, depth).
void linear_input_gradient(const LinearShape& shape, const float* g, int pieces, const uint32_t* signs,
                           float* dx, int threads);
// dw = g^T x, (channels, depth).
void linear_weight_gradient(const LinearShape& shape, const float* g, int g_pieces, const Operand& x,
                            int x_pieces, float* dw, int threads);

// Stride 1, odd kernel, zeros outside, as many of them as keep the size: out (images, height, width,
// filters).
struct ConvShape {
    size_t images, height, width, channels, filters, kernel_height, kernel_width;
};

// x (images, height, width, channels), w (filters, channels, kernel_height, kernel_width), y (images, height,
// width, filters). The conv_sign_words() signs are written for the gradient of the input. Returns the pieces
// that x takes; 0: these are more than `most_pieces`, or w holds NaN, and y is nothing. Integers from −128 to
// 127 take one, and half the time. x as bits: only where conv_takes_signs().
bool conv_takes_signs(const ConvShape& shape);
size_t conv_sign_words(const ConvShape& shape);
int conv(const ConvShape& shape, const Operand& x, int most_pieces, const float* w, float* y, uint32_t* signs,
         int threads);
// The forward pass of ±1, for signs that are packed already: y = scale of the filter (null: 1) times the sum.
void conv_of_signs(const ConvShape& shape, const uint32_t* x, const uint32_t* signs, const float* scales,
                   float* y, int threads);
// `scales`: as above.
void conv_input_gradient(const ConvShape& shape, const Operand& g, int pieces, const uint32_t* signs,
                         const float* scales, float* dx, int threads);
void conv_weight_gradient(const ConvShape& shape, const Operand& g, int g_pieces, const Operand& x,
                          int x_pieces, float* dw, int threads);

}  // namespace binarynet::training
