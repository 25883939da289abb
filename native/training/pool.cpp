// compile (.*): -fno-math-errno -fno-trapping-math
//
// Bound by memory: 20 bytes read and 5 written for each answer, and the other way round behind it.
#include "pool.h"

#include <algorithm>

#include "base/threads.h"
#include "each_length.h"
#include "stream.h"

namespace binarynet::training {

namespace {

constexpr size_t kChannels = 256;  // of an answer at a time

// The functions below take the channels of one answer, whose four pixels are two neighbours in each of two
// rows.

EACH_LENGTH void largest(const float* __restrict upper, const float* __restrict lower, size_t channels,
                         float* __restrict y, uint8_t* __restrict from) {
    for (size_t c = 0; c < channels; ++c) {
        const float x[4] = {upper[c], upper[channels + c], lower[c], lower[channels + c]};
        float most = x[0];
        int which = 0;
        for (int k = 1; k < 4; ++k) {
            const bool more = x[k] > most || x[k] != x[k];  // NaN wins
            most = more ? x[k] : most;
            which = more ? k : which;
        }
        y[c] = most;
        from[c] = static_cast<uint8_t>(which);
    }
}

// A loop for each pixel: GCC makes vectors of none of them if they share one.
EACH_LENGTH void spread(const float* __restrict g, const uint8_t* __restrict from, size_t channels,
                        float* __restrict upper, float* __restrict lower) {
    for (int k = 0; k < 4; ++k) {
        float* __restrict const to = (k < 2 ? upper : lower) + (k % 2) * channels;
        for (size_t c = 0; c < channels; ++c) to[c] = from[c] == k ? g[c] : 0.0f;
    }
}

}  // namespace

void max_pool(const PoolShape& s, const float* x, float* y, uint8_t* from, int threads) {
    const size_t row = s.width * s.channels;
    parallel_for(s.images * s.height, threads, [&](size_t i, int) {
        for (size_t at = 0; at < row; at += s.channels) {
            const float* const upper = x + i * 4 * row + 2 * at;
            largest(upper, upper + 2 * row, s.channels, y + i * row + at, from + i * row + at);
        }
    });
}

void max_pool_gradient(const PoolShape& s, const float* g, const uint8_t* from, float* dx, int threads) {
    const size_t row = s.width * s.channels;
    parallel_for(s.images * s.height, threads, [&](size_t i, int) {
        for (size_t at = 0; at < row; at += s.channels) {
            float* const upper = dx + i * 4 * row + 2 * at;
            for (size_t c = 0; c < s.channels; c += kChannels) {
                alignas(64) float four[4 * kChannels];
                const size_t count = std::min(kChannels, s.channels - c);
                spread(g + i * row + at + c, from + i * row + at + c, count, four, four + 2 * kChannels);
                for (size_t k = 0; k < 4; ++k)
                    store_past_cache(four + k / 2 * 2 * kChannels + k % 2 * count, count,
                                     upper + k / 2 * 2 * row + k % 2 * s.channels + c);
            }
        }
        stores_end();
    });
}

}  // namespace binarynet::training
