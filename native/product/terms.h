// The numbers of each channel that a product needs besides its weights: limits of a threshold, or what
// accumulators begin with. Where the number 0 stands outside the image, they depend on which taps lie there.
#pragma once

#include <vector>

#include "finish.h"
#include "planes.h"

namespace binarynet {

class Terms {
 public:
    Terms() = default;
    // padded: channels of a group, rounded up to whole panels.
    Terms(const Shape& shape, const Outside& outside, const Planes& planes, const PackedWeights& weight,
          const Finish& finish, size_t padded);

    bool has_classes() const { return !classes_.empty(); }
    // Classes of the rows [first, first + count) of all positions of all images.
    void classes_of(size_t first, size_t count, uint32_t* classes) const;
    // Limits or bases of a group from a channel of it on, for Gemm::terms; from class to class `stride`.
    const int32_t* of(size_t group, size_t channel) const {
        return terms_.data() + group * padded_ + channel;
    }
    size_t stride() const { return stride_; }
    size_t classes() const { return terms_.size() / stride_; }
    // Several planes: zeros, with which a kernel makes −S; and twice the bases.
    const int32_t* zeros() const { return terms_.data(); }
    const int64_t* twice_bases(size_t padding_class, size_t channel) const {
        return &bases_[padding_class * channels_ + channel];
    }
    const uint8_t* flip(size_t group) const { return flip_.data() + group * padded_ / 8; }
    size_t bytes() const {
        return terms_.size() * 4 + bases_.size() * 8 + flip_.size() + classes_.size() * 4;
    }

 private:
    size_t channels_ = 0, padded_ = 0, stride_ = 0;
    std::vector<uint32_t> classes_;  // (positions), empty if there is one class
    std::vector<int32_t> terms_;     // (classes, groups · padded); zeros (padded) if there are several planes
    std::vector<int64_t> bases_;     // (classes, channels): 2 · base, if there are
    std::vector<uint8_t> flip_;      // of comparisons
};

}  // namespace binarynet
