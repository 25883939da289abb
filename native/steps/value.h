// What a network computes with: codes, and values made of them or of numbers.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "base/bits.h"

namespace binarynet {

// What a code c means: the integer low + step · c. Bipolar codes b1 … b8 have step 2, all others 1; i2 … i8
// and t2 are stored with an offset, so that their lowest value is code 0.
struct Code {
    int bits = 1;
    int32_t low = -1, step = 2;
    int32_t count = 2;  // of codes; t2 uses three of its four

    // Throws std::invalid_argument for a name that is none of b1 … b8, u1 … u8, i2 … i8, t2.
    static Code parse(const std::string& encoding);

    int32_t largest() const { return (1 << bits) - 1; }  // that the bits hold
    bool is_sign() const { return bits == 1 && low < 0; }
    int32_t value(int32_t code) const { return low + step * code; }
    // The code of a value, or −1.
    int32_t of(int32_t value) const;
};

// How a value is stored for one image, in the order height, width, channels:
//   codes   one byte each                              i32    accumulators
//   bits    codes of one bit: per pixel                f32    reals
//           words_for(channels) words
// A vector is one pixel, unless it is the flattened form of an image of bits whose pixels end within a word:
// then its height and width are those of the image.
struct Value {
    enum Store { codes, bits, i32, f32 };

    Store store = i32;
    size_t height = 1, width = 1, channels = 1;
    bool flat = false;
    Code code;  // of codes and bits

    size_t pixels() const { return height * width; }
    size_t numbers() const { return pixels() * channels; }
    size_t row_words() const { return words_for(channels); }
    size_t bytes() const;
    bool is_number() const { return store == i32 || store == f32; }
};

}  // namespace binarynet
