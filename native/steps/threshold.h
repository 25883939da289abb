// Threshold: int32 or float32 → bits, or codes of several levels.
#pragma once

#include "rows.h"

namespace binarynet {

// Per-channel numbers, as they come from the graph.
struct ThresholdTable {
    std::vector<int32_t> i32;  // (channels, levels); one of the two is empty
    std::vector<float> f32;
    std::vector<uint8_t> rising;  // 0 or 1
    Code code = {};               // that it makes: count − 1 levels
};

// A threshold, ready for kernels: channels → bits or codes.
class Thresholds {
 public:
    explicit Thresholds(ThresholdTable table);

    const ThresholdTable& table() const { return table_; }
    size_t channels() const { return table_.rising.size(); }
    size_t levels() const { return static_cast<size_t>(table_.code.count) - 1; }
    bool makes_bits() const { return table_.code.bits == 1; }
    // Of one pixel, bits with their tail.
    size_t row_bytes() const { return makes_bits() ? words_for(channels()) * 8 : channels(); }
    // Channels [begin, end) of a pixel: x[0] is channel `begin`, out the whole pixel. For bits, `begin` is a
    // multiple of 64, and so is `end` unless it is the last.
    void row(const Kernels& kernels, const int32_t* x, size_t begin, size_t end, uint8_t* out) const;
    void row(const Kernels& kernels, const float* x, size_t begin, size_t end, uint8_t* out) const;
    // "threshold" or "threshold of 3 levels".
    std::string text() const;

 private:
    ThresholdTable table_;
    std::vector<int32_t> i32_;  // (levels, channels), ascending
    std::vector<float> f32_;
    std::vector<uint64_t> flip_;    // bits: where falling
    std::vector<uint8_t> falling_;  // codes: 255 where falling
};

class ThresholdStep final : public RowStep {
 public:
    ThresholdStep(std::string op, int source, int target, const Value& from, ThresholdTable table);
    void apply(const Frame& frame, const void* in, const void* beside, void* out,
               size_t count) const override;
    Work counts(const Frame& frame) const override;
    std::string kernel(const Frame& frame) const override;
    bool makes_reals() const override { return false; }
    const Thresholds& thresholds() const { return thresholds_; }

 private:
    Value from_;
    Thresholds thresholds_;
};

}  // namespace binarynet
