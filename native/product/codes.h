// Linear and Conv2d of codes × ±1 by look-ups (kernels/lookup.h): first layers, whose rows are bytes. Rows
// are read where they lie, or gathered under their window.
#pragma once

#include <optional>

#include "base/memory.h"
#include "finish.h"
#include "rows.h"
#include "terms.h"

namespace binarynet {

class CodesMatmul {
 public:
    // Codes of a byte, weights of one plane, one group.
    static bool takes(const Shape& shape, const Planes& planes);
    // None for what is not taken, or where the instruction set has no such kernels.
    static std::optional<CodesMatmul> plan(const Shape& shape, const Planes& planes, const Kernels& kernels);
    // Lays out the weights. terms: those of popcount, from which this kernel's follow.
    void seal(const PackedWeights& weight, const Terms& terms, const Finish& finish);

    Work work(const Frame& frame, const Finish& finish) const;
    void run(const Frame& frame, int source, int target, const Rows& rows, const Terms& terms,
             const Finish& finish) const;
    size_t scratch_bytes(const Finish& finish) const;
    size_t weight_bytes() const { return panels_.bytes() + terms_.size() * 4 + short_limits_.size() * 2; }
    std::string text() const;

 private:
    CodesMatmul(const Shape& shape, const Planes& planes, const LookupShape& lookup);

    bool direct() const { return shape_.in_place(); }
    size_t units() const { return (shape_.depth + lookup_.values - 1) / lookup_.values; }
    size_t panels() const { return (shape_.channels + lookup_.channels - 1) / lookup_.channels; }
    size_t padded() const { return panels() * lookup_.channels; }
    size_t tile_rows() const;
    // Panels whose outputs share no word.
    size_t step() const { return kWord / lookup_.channels; }
    void run_tile(const Frame& frame, int source, int target, const Rows& rows, const Terms& terms,
                  const Finish& finish, size_t first, size_t count, size_t panel_begin, size_t panel_end,
                  int slot) const;

    Shape shape_;
    LookupShape lookup_;
    int largest_, shift_;
    Buffer panels_;
    std::vector<int32_t> terms_;         // (classes, padded)
    std::vector<int16_t> short_limits_;  // (classes, 2, padded), of short rows that are compared
    std::vector<uint8_t> flip_;
};

}  // namespace binarynet
