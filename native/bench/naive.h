// A convolution as its definition reads, in float32: what XNOR-Net's 58 × is measured against.
#pragma once

#include <stddef.h>

namespace binarynet {

// image (height, width, channels), weight (filters, 3, 3, channels), zero-padded by 1 → out (height, width,
// filters).
void naive_conv3x3(const float* image, size_t height, size_t width, size_t channels, const float* weight,
                   size_t filters, float* out);

}  // namespace binarynet
