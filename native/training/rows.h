// A product whose rows are positions, while it runs: which operand is where. See rows.cpp.
#pragma once

#include "multiply.h"
#include "scratch.h"

namespace binarynet::training {

// One product: which operand is where.
struct Rows {
    const Kernel& kernel;
    const Geometry& g;
    Unit unit;
    bool forwards;
    Axis y, x;
    // Of the left operand: (piece, image, source, group, steps of 4 bytes).
    const uint8_t* left;
    size_t pieces, steps;
    const Weights& weights;
    // Of the result: value = scale[column] row_scale[image] (mul sum + add), add = `each` times the sum of
    // the weights that were met, or times their number.
    int mul, each;
    const float *scales, *row_scales;  // or null
    float scale;
    float* out;

    size_t columns_each() const { return forwards ? g.filters_each() : g.channels_each(); }
    size_t depth_each() const { return forwards ? g.channels_each() : g.filters_each(); }
    size_t blocks_each() const { return divide_up(columns_each(), kernel.columns); }
    size_t tap_bytes() const { return steps * kernel.columns * 4; }
    size_t panel_bytes() const { return g.taps() * tap_bytes(); }
    void panel(size_t block, uint8_t* to, int32_t* sums) const;
    void run(int threads) const;
};

}  // namespace binarynet::training
