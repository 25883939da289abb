// Convolutions of few channels, of images above all. Only for files compiled for AMX.
#pragma once

#include <vector>

#include "base/threads.h"
#include "products.h"
#include "tiles.h"

namespace binarynet::training {

// Of few channels, all taps fit a step or two: the windows are gathered, and become the channels of a 1 × 1
// convolution with the same weights. Three channels of 3 × 3 are one step then, where they were nine.
inline bool few_channels(const ConvShape& s) {
    const size_t taps = s.kernel_height * s.kernel_width;
    return taps > 1 && s.channels * taps <= 2 * kBlock;
}
inline ConvShape of_windows(const ConvShape& s) {
    return {s.images, s.height, s.width, s.channels * s.kernel_height * s.kernel_width, s.filters, 1, 1};
}

// x (images, height, width, channels) → (images, height, width, channels, kernel_height, kernel_width).
inline const float* gather_windows(const ConvShape& s, const float* x, int threads) {
    const size_t count = of_windows(s).channels, pixels = s.height * s.width;
    float* const windows =
        reinterpret_cast<float*>(workspace(Use::kWindows, s.images * pixels * count * sizeof(float)));
    // Of each value of a window: where it is, and the rows and columns of windows in which it is inside.
    alignas(64) int32_t offsets[2 * kBlock] = {};
    std::vector<uint64_t> inside_y(s.height), inside_x(s.width);
    size_t n = 0;
    for (size_t c = 0; c < s.channels; ++c)
        for (size_t i = 0; i < s.kernel_height; ++i)
            for (size_t j = 0; j < s.kernel_width; ++j, ++n) {
                const int64_t down = int64_t(i) - int64_t(s.kernel_height / 2);
                const int64_t right = int64_t(j) - int64_t(s.kernel_width / 2);
                offsets[n] = static_cast<int32_t>((down * int64_t(s.width) + right) * int64_t(s.channels) +
                                                  int64_t(c));
                for (size_t y = 0; y < s.height; ++y) inside_y[y] |= uint64_t{y + down < s.height} << n;
                for (size_t at = 0; at < s.width; ++at) inside_x[at] |= uint64_t{at + right < s.width} << n;
            }
    parallel_for(s.images * s.height, threads, [&](size_t row, int) {
        for (size_t at = 0; at < s.width; ++at) {
            const uint64_t inside = inside_y[row % s.height] & inside_x[at];
            const float* const from = x + (row * s.width + at) * s.channels;
            float* const to = windows + (row * s.width + at) * count;
            for (size_t n = 0; n < count; n += kHalf)
                _mm512_mask_storeu_ps(
                    to + n, first(count - n),
                    _mm512_mask_i32gather_ps(_mm512_setzero_ps(), static_cast<__mmask16>(inside >> n),
                                             _mm512_load_si512(offsets + n), from, sizeof(float)));
        }
    });
    return windows;
}

}  // namespace binarynet::training
