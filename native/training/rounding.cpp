// compile (.*): -fno-math-errno -fno-trapping-math
#include "rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/threads.h"
#include "each_length.h"

namespace binarynet::training {

namespace {

// Magnitudes of floats are ordered as their bits are, with infinity and NaN above all numbers.
constexpr uint32_t kInfinity = 0x7f800000;

EACH_LENGTH void raise(const float* x, const float* scales, size_t count, uint32_t* __restrict own,
                       uint32_t* __restrict all) {
    for (size_t i = 0; i < count; ++i) {
        const float scaled = scales ? x[i] * scales[i] : x[i];
        uint32_t size, scaled_size;
        std::memcpy(&size, &x[i], sizeof(size));
        std::memcpy(&scaled_size, &scaled, sizeof(size));
        size &= 0x7fffffff, scaled_size &= 0x7fffffff;
        own[i] = size > own[i] ? size : own[i];
        all[i] = scaled_size > all[i] ? scaled_size : all[i];
    }
}

float as_float(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

EACH_LENGTH void round_part(const float* __restrict x, const float* __restrict factor, size_t count,
                            const uint16_t* __restrict draws, int levels, uint8_t* __restrict codes) {
    for (size_t i = 0; i < count; ++i) {
        const float v = x[i] * factor[i];
        const int places = static_cast<int>(v + (v < 0 ? -0.5f : 0.5f));
        const int code = (places + (levels << 15) + draws[i]) >> 16;
        codes[i] = static_cast<uint8_t>(code < levels ? code : levels);
    }
}

}  // namespace

bool gradient_ranges(const Geometry& g, const float* gradient, const float* scales, float* images,
                     float* filters, int threads) {
    const size_t pixels = g.out_pixels(), count = g.filters;
    // Of images: parts of so many that each thread has some.
    const size_t parts = std::min<size_t>(g.images, static_cast<size_t>(threads) * 4);
    std::vector<uint32_t> own(parts * count), all(parts * count);
    parallel_for(parts, threads, [&](size_t part, int) {
        uint32_t *const mine = own.data() + part * count, *const scaled = all.data() + part * count;
        for (size_t n = g.images * part / parts; n < g.images * (part + 1) / parts; ++n) {
            std::fill_n(scaled, count, 0u);
            for (size_t p = 0; p < pixels; ++p)
                raise(gradient + (n * pixels + p) * count, scales, count, mine, scaled);
            images[n] = as_float(*std::max_element(scaled, scaled + count));
        }
    });
    bool finite = true;
    for (size_t n = 0; n < g.images; ++n) finite &= std::isfinite(images[n]);
    for (size_t f = 0; f < count; ++f) {
        uint32_t most = 0;
        for (size_t part = 0; part < parts; ++part) most = std::max(most, own[part * count + f]);
        finite &= most < kInfinity;
        filters[f] = as_float(most);
    }
    return finite;
}

void round_at_random(const float* x, const float* factor, size_t count, const uint16_t* draws, int levels,
                     uint8_t* codes) {
    round_part(x, factor, count, draws, levels, codes);
}

}  // namespace binarynet::training
