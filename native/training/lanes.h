// The operands of the gradient of the weights, a pixel at a time: the same pixel of some images, 4 of bytes
// and 2 of bfloat16, one beside the other in the 4 bytes of a lane; a lane for each filter or channel.
#pragma once

#include <vector>

#include "multiply.h"

namespace binarynet::training {

class Lanes {
 public:
    // `long_rows`: positions that are no neighbours lie in one row whenever that may be.
    Lanes(const Geometry& given, const Rounding& rounding, const float* gradient, const Input& x,
          bool long_rows, int threads);

    // The product that is made, of the same weights: few channels have become windows, and positions that are
    // no neighbours a long row of them for each image of a lane.
    const Geometry& geometry() const { return g_; }
    size_t image_groups() const { return (g_.images + numbers_ - 1) / numbers_; }
    Unit unit() const { return rounding_.unit; }
    int levels() const { return rounding_.levels; }
    float scale(size_t filter) const { return scales_[filter]; }  // of its sums

    size_t own_bytes() const;  // a task's own memory, aligned to 64
    // Lanes of a pixel of the gradient and of the input, for one group of filters and channels. Memory of
    // lanes up to a multiple of 16 may be written; those beyond the last mean nothing.
    void gradient(size_t image_group, size_t pixel, size_t group, uint8_t* own, uint32_t* lanes) const;
    void input(size_t image_group, size_t pixel, size_t group, uint8_t* own, uint32_t* lanes) const;

 private:
    const Rounding rounding_;
    const float* const gradient_;
    Geometry g_;
    Input x_;
    size_t numbers_, draws_each_, x_rows_, g_rows_, code_bytes_;
    std::vector<float> windows_, factors_, scales_;
};

// Where a tap meets pixels, along one side: outputs [begin, end) and the first input.
struct Reach {
    size_t begin, end, source;
};
Reach reach(const Side& side, size_t tap);

#if defined(__x86_64__)
void weight_gradient_on_tiles(const Lanes& lanes, float* dw, int threads);
#endif

}  // namespace binarynet::training
