// Codes in planes of bits, and what of a dot product belongs to which plane.
//
// With x = low + step · c and w = low' + step' · k, both codes in planes of bits, and d = 2 · bit − 1 for the
// bits of w, 2 w = step' · Σ_j 2^j d_j + e where e = 2 low' + step' · (2^J − 1): 0 for bipolar weights, 1 for
// ternary, −1 for signed, 2^J − 1 for unsigned ones. So of a dot product with J weight planes,
//
//     2 acc = base2 + e · step · C − step · step' · Σ_j 2^j S_j         S_j as in contract.h, C = Σ codes of
//     x
//
// where base2 depends on the channel and on which taps lie outside, and C on the row only. For b1 weights,
// J = 1 and e = 0, and this is the acc = base − (S << shift) of one kernel call.
#pragma once

#include <vector>

#include "kernels/contract.h"
#include "shape.h"
#include "weights.h"

namespace binarynet {

// `rows` rows of `width` numbers, `stride` apart.
struct Block {
    int32_t* numbers;
    size_t rows, width, stride;
};

class Planes {
 public:
    Planes(const Code& rows, const Code& weights);

    int rows() const { return rows_.bits; }
    int weights() const { return weights_.bits; }
    int shift() const { return rows_.step - 1; }
    bool plain() const { return weights() == 1 && extra_ == 0; }  // one kernel call makes accumulators

    // base2 of a channel, if these taps lie outside.
    int64_t twice_base(const PackedWeights& weight, size_t channel, size_t depth,
                       const std::vector<bool>& outside) const;
    // e · step · C of each row.
    void sum_codes(const Gemm& rows, int64_t* sums) const;
    // acc = 2 acc + part: Horner's rule, from the highest plane of the weights down to the second.
    static void add_plane(const Block& acc, const int32_t* part);
    // acc, so far −Σ_{j ≥ 1} 2^(j − 1) S_j modulo 2^32, and lowest = −S_0 → the accumulators. base(row):
    // base2 of the channels of the block.
    template <class Base>
    void join(const Block& acc, const int32_t* lowest, const int64_t* sums, Base&& base) const {
        const auto factor = static_cast<uint32_t>(rows_.step * weights_.step);
        for (size_t r = 0; r < acc.rows; ++r)
            join_row(base(r), sums[r], lowest + r * acc.width, factor, acc.width,
                     acc.numbers + r * acc.stride);
    }

 private:
    void join_row(const int64_t* base, int64_t sum, const int32_t* lowest, uint32_t factor, size_t width,
                  int32_t* out) const;

    Code rows_, weights_;
    int32_t extra_;  // e
};

}  // namespace binarynet
