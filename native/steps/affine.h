// Affine: int32 or float32 → float32, one multiplication and one addition, each rounded on its own.
#pragma once

#include "rows.h"

namespace binarynet {

// Per-channel numbers, as they come from the graph.
struct AffineTable {
    std::vector<float> scale, offset;
};

class AffineStep final : public RowStep {
 public:
    AffineStep(std::string op, int source, int target, const Value& from, AffineTable table);
    void apply(const Frame& frame, const void* in, const void* beside, void* out,
               size_t count) const override;
    Work counts(const Frame& frame) const override;
    std::string kernel(const Frame&) const override { return "float32"; }
    const AffineTable& table() const { return table_; }

 private:
    Value from_;
    AffineTable table_;
};

// out = float(x) · scale + offset.
void affine_row(const int32_t* x, const float* scale, const float* offset, size_t channels, float* out);
void affine_row(const float* x, const float* scale, const float* offset, size_t channels, float* out);

}  // namespace binarynet
