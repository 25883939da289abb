// Conv2d on reals with one channel in and one out per group: channels lie side by side, as in the pixels.
#pragma once

#include <vector>

#include "product.h"
#include "shape.h"

namespace binarynet {

// A product of matrices would have one column. So a pixel meets the weights of its tap, number by number.
class RealDepthwise final : public Product {
 public:
    // One channel in and one out per group, of an image.
    static bool takes(const Shape& shape);

    // weight: (channels, taps)
    RealDepthwise(std::string op, int source, int target, const Shape& shape,
                  const std::vector<float>& weight, int pad_value);

    size_t positions() const override { return window_.positions(); }
    bool fuse(const ThresholdStep&, const Kernels&) override { return false; }
    bool fuse(const AffineStep&) override { return false; }
    void seal(const Kernels&) override {}
    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override;
    std::string kernel(const Frame&) const override { return "multiply, float32, depthwise in place"; }
    size_t scratch_bytes() const override;
    size_t weight_bytes() const override { return (weight_.size() + outside_.size()) * sizeof(float); }

 private:
    struct Taps;

    void run_row(const Frame& frame, size_t image, size_t oy, const Taps& taps) const;

    Value from_;
    Window window_;
    std::vector<float> weight_;   // (taps, channels)
    std::vector<float> outside_;  // (channels): a pixel of padding
};

}  // namespace binarynet
