// Conv2d on bits with one channel in and one out per group: 64 channels in a word, counted side by side.
#pragma once

#include <optional>

#include "product.h"
#include "shape.h"
#include "weights.h"

namespace binarynet {

// There is no sum over channels, so there is nothing for a matrix product to do. The taps' xors are added
// bitwise: plane b of a counter holds bit b of S = popcount over the taps, for 64 channels. A threshold
// compares these planes with the planes of its limits, so that from bits to bits nothing is ever a number.
class Depthwise final : public Product {
 public:
    // One channel in and one out per group, weights and what they meet ±1.
    static bool takes(const Shape& shape, const Code& weights);

    Depthwise(std::string op, int source, int target, const Shape& shape, PackedWeights weight,
              int pad_value);

    size_t positions() const override { return window_.positions(); }
    bool fuse(const ThresholdStep& step, const Kernels& kernels) override;
    bool fuse(const AffineStep& step) override;
    void seal(const Kernels& kernels) override;
    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override;
    std::string kernel(const Frame& frame) const override;
    size_t weight_bytes() const override;

 private:
    static constexpr int kMaxPlanes =
        32;  // 65536 · 65536 taps need 33, and their sum no longer fits an accumulator

    void count(const uint64_t* image, size_t oy, size_t ox, size_t word, uint64_t* planes) const;
    uint64_t reached(const uint64_t* planes, size_t padding_class, size_t word) const;

    Value from_;
    Window window_;
    std::vector<uint64_t> weight_;  // (channels, words) until seal(), then (taps, words of channels)
    bool correct_padding_;          // the number 0 stands outside: such taps are left out
    uint64_t outside_;              // else the bits outside
    int planes_ = 1;                // of a counter

    std::vector<uint32_t> classes_;  // (positions), empty if there is one class
    std::vector<int32_t> inside_;    // (classes): taps that are counted; acc = inside − 2 S
    std::vector<uint64_t> limits_;   // (classes, planes, words)
    std::vector<uint64_t> never_;    // (classes, words): channels whose limit is below 0
    std::vector<uint64_t> flip_;     // (words)

    std::optional<ThresholdTable> threshold_;
    std::optional<AffineTable> affine_;
};

}  // namespace binarynet
