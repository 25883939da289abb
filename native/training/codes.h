// Numbers of a tensor as what they are: signs as bits, small integers as bytes, times a scale.
//
// What a quantizer made is read off its values, and every value is checked: no rule for each quantizer, no
// wrong number where one draws at random, and a max pool or a dropout behind it changes nothing.
#pragma once

#include "geometry.h"
#include "strip.h"

namespace binarynet::training {

enum class Form { kReal, kBits, kBytes };

// An activation:  bits   value = ±1, (image, y, x, group, words): 32 channels a word
//                 bytes  value = scale (step Σ code + offset), (piece, image, y, x, group, code): one or two
//                        codes of a byte, in groups that are a multiple of 4 bytes
struct Codes {
    Form form = Form::kReal;
    int pieces = 1;
    float scale = 1;
    int step = 1, offset = 0;
    int most = 1;  // the largest |step Σ code + offset|
};

size_t sign_words(const Geometry& g);  // of x as bits
size_t code_bytes(const Geometry& g);  // of a piece of x as bytes

// False: x is not all ±1, and bits are nothing.
bool pack_ones(const Kernel& kernel, const Geometry& g, const float* x, uint32_t* bits, int threads);
// Bytes, or real: x is no integer from −255 to 255 times a scale.
Codes find_codes(const float* x, size_t count, int threads);
void pack_codes(const Geometry& g, const Codes& codes, const float* x, uint8_t* bytes, int threads);

// x again, of bits or bytes.
void unpack(const Geometry& g, const Codes& codes, const void* numbers, float* x, int threads);

// Weights, per filter: value = scale[filter] · number.
//                 bits   (filter, tap, words): 32 channels a word
//                 bytes  (filter, tap, channel), −64 … 64
// `latent`: w are latent weights, whose signs are the numbers. Else w are what a quantizer made of them.
size_t weight_words(const Geometry& g);
// False: w are not all ±scale; latent: one is NaN.
bool pack_weight_signs(const Kernel& kernel, const Geometry& g, const float* w, bool latent, uint32_t* bits,
                       float* scales, int threads);
bool pack_weight_bytes(const Geometry& g, const float* w, int8_t* bytes, float* scales, int threads);

}  // namespace binarynet::training
