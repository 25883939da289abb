// What is fused behind the accumulators of a product: nothing, a threshold or an affine.
#pragma once

#include <optional>

#include "product.h"

namespace binarynet {

// Accumulators of a run that are this large, in bytes, have left L2 when they are read.
constexpr size_t kStreamed = 512 << 10;

class Finish {
 public:
    explicit Finish(size_t channels) : channels_(channels) {}

    // compares: the kernel itself makes the bits; else it makes accumulators, which row() reads.
    void fuse(const Thresholds& thresholds, bool compares) { thresholds_ = thresholds, compares_ = compares; }
    void fuse(const AffineTable& affine) { affine_ = affine; }

    bool compares() const { return compares_; }
    const ThresholdTable& threshold() const { return thresholds_->table(); }
    // Does something else than the kernel read the accumulators?
    bool reads() const { return affine_ || (thresholds_ && !compares_); }
    size_t levels() const { return thresholds_ ? thresholds_->levels() : 1; }
    // What reading so many accumulators takes.
    void count(Work& work, double sums) const {
        if (!reads()) return;
        work[affine_ ? Work::rescaled : Work::finished] = sums * double(levels());
        if (levels() > 1) work[Work::coded] = sums;
    }
    // ", fused threshold", or nothing.
    std::string text() const;

    // Channels [begin, end) of the accumulators of rows [first, first + count), `stride` apart → the answer.
    void rows(const Frame& frame, int target, size_t first, size_t count, size_t begin, size_t end,
              const int32_t* acc, size_t stride) const;
    // Bytes of the last word of rows of bits behind the first `written` bytes.
    void clear_tails(const Frame& frame, int target, size_t first, size_t count, size_t written) const;

 private:
    size_t channels_;
    std::optional<Thresholds> thresholds_;
    std::optional<AffineTable> affine_;
    bool compares_ = false;
};

}  // namespace binarynet
