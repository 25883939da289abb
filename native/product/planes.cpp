#include "planes.h"

namespace binarynet {

Planes::Planes(const Code& rows, const Code& weights)
    : rows_(rows), weights_(weights), extra_(2 * weights.low + weights.step * weights.largest()) {}

// x · d of a plane is low · Σ d + step · (largest · popcount(w) − S), where the first sum leaves out the taps
// outside, whose code is 0.
int64_t Planes::twice_base(const PackedWeights& weight, size_t channel, size_t depth,
                           const std::vector<bool>& outside) const {
    const size_t tap_depth = depth / outside.size();
    const int64_t low = rows_.low, largest = rows_.largest();
    int64_t twice = 0, inside = 0;
    for (int n = 0; n < weights(); ++n) {
        const uint64_t* row = weight.row(static_cast<size_t>(n), channel, depth);
        int64_t ones = 0, ones_inside = 0;
        inside = 0;
        for (size_t tap = 0; tap < outside.size(); ++tap) {
            const auto here = static_cast<int64_t>(popcount(row, tap * tap_depth, tap_depth));
            ones += here;
            if (outside[tap]) continue;
            ones_inside += here;
            inside += static_cast<int64_t>(tap_depth);
        }
        twice += (low * (2 * ones_inside - inside) + rows_.step * largest * ones) * weights_.step *
                 (int64_t{1} << n);
    }
    return twice + extra_ * low * inside;
}

void Planes::sum_codes(const Gemm& g, int64_t* sums) const {
    for (size_t r = 0; r < g.row_count; ++r) {
        int64_t codes = 0;
        for (int n = rows_.bits - 1; n >= 0 && extra_; --n) {
            const uint64_t* plane = g.rows + r * g.row_stride + static_cast<size_t>(n) * g.words;
            codes = 2 * codes + static_cast<int64_t>(popcount(plane, 0, g.words * kWord));
        }
        sums[r] = codes * rows_.step * extra_;
    }
}

void Planes::add_plane(const Block& acc, const int32_t* part) {
    for (size_t r = 0; r < acc.rows; ++r) {
        int32_t* out = acc.numbers + r * acc.stride;
        for (size_t c = 0; c < acc.width; ++c)
            out[c] = static_cast<int32_t>(2 * static_cast<uint32_t>(out[c]) +
                                          static_cast<uint32_t>(part[r * acc.width + c]));
    }
}

// The lowest plane decides the last bit of 2 acc, which is then shifted out; of the planes above it, 32 bits
// are enough.
void Planes::join_row(const int64_t* base, int64_t sum, const int32_t* lowest, uint32_t factor, size_t width,
                      int32_t* out) const {
    for (size_t c = 0; c < width; ++c) {
        const uint64_t low = uint64_t{0u - static_cast<uint32_t>(lowest[c])} * factor;
        const uint64_t twice = static_cast<uint64_t>(base[c] + sum) - low;
        const uint32_t above = weights() > 1 ? factor * static_cast<uint32_t>(out[c]) : 0;
        out[c] = static_cast<int32_t>(static_cast<uint32_t>(twice >> 1) + above);
    }
}

}  // namespace binarynet
