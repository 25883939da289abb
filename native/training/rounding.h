// Gradients as left operands of a unit, and their rounding at random.
#pragma once

#include "multiply.h"

namespace binarynet::training {

// codes[f] = floor((x[f] factor[f] / 32768 + levels) / 2 + u), u uniform in [0, 1) of 2^16 steps: `draws`.
void round_at_random(const float* x, const float* factor, size_t count, const uint16_t* draws, int levels,
                     uint8_t* codes);
// What makes (x / most) levels / 2 a number of 16 binary places. 0 for most = 0.
inline float rounding_factor(float most, int levels) {
    return most > 0 ? static_cast<float>(levels) * 32768.0f / most : 0.0f;
}

}  // namespace binarynet::training
