// Linear and Conv2d: rows of bits against panels of weights, with what follows fused where it can be.
#pragma once

#include <optional>

#include "panels.h"
#include "steps.h"

namespace binarynet {

class Matmul final : public Product {
 public:
    // weight: (channels, words_for(depth)) packed rows; depth runs over (kernel row, kernel column, channel
    // in group). A Linear is a window of one tap that sees the whole value as one pixel, and has no window.
    Matmul(std::string op, int source, int target, const Value& from, std::vector<uint64_t> weight,
           size_t channels, std::optional<Window> window, size_t groups, int pad_value);

    size_t channels() const { return channels_; }
    size_t depth() const { return depth_; }
    size_t positions() const { return window_ ? window_->positions() : 1; }

    // Before seal(): let the step make the value of the op that alone reads it. False if these kernels
    // cannot.
    bool fuse(const ThresholdStep& step, const Kernels& kernels);
    bool fuse(const AffineStep& step);
    // Lay out weights and tables for these kernels.
    void seal(const Kernels& kernels);

    void run(const Frame& frame) const override;
    std::string kernel(const Kernels& kernels) const override;
    size_t scratch_bytes() const override;
    size_t weight_bytes() const override;

 private:
    struct Scratch;

    bool direct() const;  // rows are the source's own memory
    size_t row_bytes() const { return static_cast<size_t>(planes_) * words_ * 8; }
    size_t tile_rows() const;
    Scratch scratch(const Frame& frame, int slot) const;

    std::vector<uint64_t> weights_as_rows() const;
    int64_t base(size_t channel, const std::vector<bool>& outside) const;
    void make_terms(const std::vector<std::vector<bool>>& outside);

    void gather(const Frame& frame, size_t first, size_t count, size_t group, const Scratch& scratch) const;
    void gather_bits(const uint64_t* image, size_t oy, size_t ox, size_t group, uint64_t* row) const;
    void gather_codes(const uint8_t* image, size_t oy, size_t ox, size_t group, uint8_t* patch) const;
    // Rows [first, first + count) of all positions of all images, panels [panel_begin, panel_end) of each
    // group.
    void run_tile(const Frame& frame, size_t first, size_t count, size_t panel_begin, size_t panel_end,
                  int slot) const;

    Value from_;
    std::vector<uint64_t> weight_;  // until seal()
    size_t channels_, groups_, depth_;
    std::optional<Window> window_;
    int planes_;
    int shift_;                     // 1: bipolar codes, 0: unsigned
    int32_t largest_;               // (2^P − 1)
    bool correct_padding_ = false;  // the number 0 stands outside and is no code: classes
    uint8_t pad_code_ = 0;

    size_t words_ = 0;               // of a plane of a row
    std::vector<Panels> panels_;     // one per group
    std::vector<uint32_t> classes_;  // (positions), empty if there is one class
    std::vector<int32_t> terms_;     // (classes, groups · padded channels): limits or bases
    std::vector<uint8_t> flip_;

    std::optional<ThresholdTable> threshold_;
    std::optional<AffineTable> affine_;
};

}  // namespace binarynet
