// The largest of 2 × 2 pixels, channels last: x (images, 2 height, 2 width, channels) → y (images, height,
// width, channels). `from` keeps which of the four it was, the first of equals, in one byte.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet::training {

struct PoolShape {
    size_t images, height, width, channels;  // of the answer
};

void max_pool(const PoolShape& shape, const float* x, float* y, uint8_t* from, int threads);
// dx: g where it came from, 0 elsewhere.
void max_pool_gradient(const PoolShape& shape, const float* g, const uint8_t* from, float* dx, int threads);

}  // namespace binarynet::training
