// Numbers, codes or bits of a pixel, moved in runs that lie side by side.
#pragma once

#include <cstring>
#include <vector>

#include "base/bits.h"
#include "value.h"

namespace binarynet {

// `count` channels that come from channel `from` on, and where that is kNowhere, are 0.
struct Run {
    size_t from, count;
};

constexpr size_t kNowhere = SIZE_MAX;

// Channels of a source, −1 for 0, as runs. Channels of a flattened image of bits are counted with the tails
// of its pixels, as they lie in memory.
std::vector<Run> runs_of(const std::vector<int32_t>& channels, const Value& from);

// The code that means 0, of codes and bits.
inline uint8_t zero_code(const Value& value) {
    return value.is_number() ? uint8_t{0} : static_cast<uint8_t>(value.code.of(0));
}

// The runs of one pixel of T, appended to out.
template <typename T>
T* copy_runs(const T* pixel, const std::vector<Run>& runs, T zero, T* out) {
    for (const Run& run : runs) {
        if (run.from == kNowhere)
            for (size_t i = 0; i < run.count; ++i) out[i] = zero;
        else if (run.count < 16)
            for (size_t i = 0; i < run.count; ++i) out[i] = pixel[run.from + i];
        else
            std::memcpy(out, pixel + run.from, run.count * sizeof(T));
        out += run.count;
    }
    return out;
}

inline void copy_runs(const uint64_t* pixel, const std::vector<Run>& runs, uint64_t zero, BitWriter& out) {
    for (const Run& run : runs) {
        if (run.from == kNowhere)
            out.fill(zero ? ~uint64_t{0} : 0, run.count);
        else
            out.copy(pixel, run.from, run.count);
    }
}

}  // namespace binarynet
