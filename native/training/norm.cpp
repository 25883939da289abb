// compile (.*): -fno-math-errno -fno-trapping-math
//
// Bound by memory: every function reads its operands once. A task is a part of 128 rows × 256 channels, which
// stays in L2 (128 KB an operand) while its mean, and then the squares around it, are added up. Sums of a
// part are float32, what becomes of the parts is added in double, in their order: results do not depend on
// the number of threads.
#include "norm.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "each_length.h"
#include "stream.h"

namespace binarynet::training {

namespace {

constexpr size_t kRows = 128, kChannels = 256;

// body(first row, rows, first channel, channels, row part) for each part.
template <class Body>
void in_parts(const NormShape& s, int threads, Body&& body) {
    const size_t strips = (s.channels + kChannels - 1) / kChannels;
    parallel_for((s.rows + kRows - 1) / kRows * strips, threads, [&](size_t task, int) {
        const size_t row = task / strips * kRows, channel = task % strips * kChannels;
        body(row, std::min(kRows, s.rows - row), channel, std::min(kChannels, s.channels - channel),
             task / strips);
    });
}

// Two numbers for each part and channel.
class Partial {
 public:
    explicit Partial(const NormShape& s)
        : channels_(s.channels), parts_((s.rows + kRows - 1) / kRows), values_(2 * parts_ * channels_) {}

    size_t parts() const { return parts_; }
    float* first(size_t part) { return values_.data() + 2 * part * channels_; }
    float* second(size_t part) { return first(part) + channels_; }

 private:
    size_t channels_, parts_;
    std::vector<float> values_;
};

// The functions below take `rows` rows of `count` channels, `stride` numbers apart.

EACH_LENGTH void moments_part(const float* x, size_t rows, size_t stride, size_t count,
                              float* __restrict mean, float* __restrict squares) {
    for (size_t c = 0; c < count; ++c) mean[c] = 0, squares[c] = 0;
    const float* row = x;
    for (size_t r = 0; r < rows; ++r, row += stride)
        for (size_t c = 0; c < count; ++c) mean[c] += row[c];
    for (size_t c = 0; c < count; ++c) mean[c] /= static_cast<float>(rows);
    row = x;
    for (size_t r = 0; r < rows; ++r, row += stride)
        for (size_t c = 0; c < count; ++c) squares[c] += (row[c] - mean[c]) * (row[c] - mean[c]);
}

EACH_LENGTH void scale_part(const float* x, size_t rows, size_t stride, size_t count, const float* scale,
                            const float* shift, float* y) {
    for (size_t r = 0; r < rows; ++r, x += stride, y += stride) {
        const float* const from = x;
        float* __restrict const to = y;
        for (size_t c = 0; c < count; ++c) to[c] = from[c] * scale[c] + shift[c];
    }
}

EACH_LENGTH void sign_part(const float* x, size_t rows, size_t stride, size_t count, const float* scale,
                           const float* shift, float* y) {
    for (size_t r = 0; r < rows; ++r, x += stride, y += stride) {
        const float* const from = x;
        float* __restrict const to = y;
        for (size_t c = 0; c < count; ++c) {
            const float z = from[c] * scale[c] + shift[c], side = z >= 0 ? 1.0f : -1.0f;
            to[c] = z == z ? side : z;
        }
    }
}

inline __attribute__((always_inline)) float passed(const NormWindow& w, float g, float x, float scale,
                                                   float shift) {
    return std::fabs(x * scale + shift) <= w.window ? g : 0.0f;
}

EACH_LENGTH void sums_part(const float* g, const float* x, size_t rows, size_t stride, size_t x_stride,
                           size_t count, const float* mean, float* __restrict sum,
                           float* __restrict product) {
    for (size_t c = 0; c < count; ++c) sum[c] = 0, product[c] = 0;
    for (size_t r = 0; r < rows; ++r, g += stride, x += x_stride)
        for (size_t c = 0; c < count; ++c) {
            sum[c] += g[c];
            product[c] += g[c] * (x[c] - mean[c]);
        }
}

EACH_LENGTH void sums_part_in_window(const float* g, const float* x, size_t rows, size_t stride,
                                     size_t x_stride, size_t count, const float* mean, NormWindow w,
                                     float* __restrict sum, float* __restrict product) {
    for (size_t c = 0; c < count; ++c) sum[c] = 0, product[c] = 0;
    for (size_t r = 0; r < rows; ++r, g += stride, x += x_stride)
        for (size_t c = 0; c < count; ++c) {
            const float h = passed(w, g[c], x[c], w.scale[c], w.shift[c]);
            sum[c] += h;
            product[c] += h * (x[c] - mean[c]);
        }
}

EACH_LENGTH void gradient_part(const float* g, const float* x, size_t rows, size_t stride, size_t count,
                               const float* mean, const float* scale, const float* slope, const float* level,
                               float* dx) {
    for (size_t r = 0; r < rows; ++r, g += stride, x += stride, dx += stride) {
        float* __restrict const to = dx;
        for (size_t c = 0; c < count; ++c) to[c] = scale[c] * g[c] + (slope[c] * (x[c] - mean[c]) + level[c]);
    }
}

EACH_LENGTH void gradient_part_in_window(const float* g, const float* x, size_t rows, size_t stride,
                                         size_t count, const float* mean, NormWindow w, const float* slope,
                                         const float* level, float* dx) {
    for (size_t r = 0; r < rows; ++r, g += stride, x += stride, dx += stride) {
        float* __restrict const to = dx;
        for (size_t c = 0; c < count; ++c) {
            const float h = passed(w, g[c], x[c], w.scale[c], w.shift[c]);
            to[c] = w.scale[c] * h + (slope[c] * (x[c] - mean[c]) + level[c]);
        }
    }
}

// Whether x are integers that fit; they are in `to` then. In the order of memory, of any rows.
EACH_LENGTH bool narrow_part(const float* x, size_t count, int16_t* __restrict to) {
    int32_t other = 0;
    for (size_t c = 0; c < count; ++c) {
        // Beyond 16 bits, and NaN, before it is converted: that would be undefined.
        const bool small = std::fabs(x[c]) <= 32767.0f;
        const int32_t integer = static_cast<int32_t>(small ? x[c] : 0.0f);
        to[c] = static_cast<int16_t>(integer);
        other |= static_cast<float>(integer) != x[c];
    }
    return !other;
}

EACH_LENGTH void widen_part(const int16_t* x, size_t count, float* __restrict to) {
    for (size_t c = 0; c < count; ++c) to[c] = static_cast<float>(x[c]);
}

// Of `count` numbers from `at` on.
void narrow_some(Narrow& narrow, const float* x, size_t at, size_t count) {
    if (narrow.to && narrow.fits.load(std::memory_order_relaxed) &&
        !narrow_part(x + at, count, narrow.to + at))
        narrow.fits = false;
}

// The window's vectors from `channel` on.
NormWindow from(const NormWindow& w, size_t channel) {
    return {w.sign, w.window, w.scale + channel, w.shift + channel};
}

}  // namespace

void norm_statistics(const NormShape& s, const float* x, float* mean, float* variance, int threads) {
    Partial partial(s);
    in_parts(s, threads, [&](size_t row, size_t rows, size_t channel, size_t count, size_t part) {
        moments_part(x + row * s.channels + channel, rows, s.channels, count, partial.first(part) + channel,
                     partial.second(part) + channel);
    });
    // Parts are joined pair by pair (Chan, Golub, LeVeque 1979): no difference of large sums.
    std::vector<double> center(s.channels), squares(s.channels);
    for (size_t part = 0; part < partial.parts(); ++part) {
        const double before = static_cast<double>(part * kRows),
                     now = static_cast<double>(std::min(kRows, s.rows - part * kRows)),
                     share = now / (before + now);
        for (size_t c = 0; c < s.channels; ++c) {
            const double apart = partial.first(part)[c] - center[c];
            center[c] += apart * share;
            squares[c] += partial.second(part)[c] + apart * apart * before * share;
        }
    }
    for (size_t c = 0; c < s.channels; ++c) {
        mean[c] = static_cast<float>(center[c]);
        variance[c] = static_cast<float>(squares[c] / static_cast<double>(s.rows));
    }
}

void norm_forward(const NormShape& s, const float* x, const float* scale, const float* shift, bool sign,
                  float* y, Narrow& narrow, int threads) {
    const auto rule = sign ? sign_part : scale_part;
    in_parts(s, threads, [&](size_t row, size_t rows, size_t channel, size_t count, size_t) {
        const size_t at = row * s.channels + channel;
        rule(x + at, rows, s.channels, count, scale + channel, shift + channel, y + at);
        for (size_t r = 0; r < rows; ++r) narrow_some(narrow, x, at + r * s.channels, count);
    });
}

bool norm_signs(const Kernel& kernel, const NormShape& s, const float* x, const float* scale,
                const float* shift, uint32_t* bits, Narrow& narrow, int threads) {
    static_assert(kChannels % 32 == 0);
    const size_t words = (s.channels + 31) / 32;
    std::atomic<bool> all{true};
    in_parts(s, threads, [&](size_t row, size_t rows, size_t channel, size_t count, size_t) {
        float answers[kChannels];
        for (size_t r = row; r < row + rows; ++r) {
            const float* const from = x + r * s.channels + channel;
            scale_part(from, 1, count, count, scale + channel, shift + channel, answers);
            narrow_some(narrow, x, r * s.channels + channel, count);
            if (!kernel.signs(answers, count, bits + r * words + channel / 32)) all = false;
        }
    });
    return all;
}

void norm_sums(const NormShape& s, const float* g, const NormInput& x, const float* mean,
               const NormWindow& window, float* sum, float* product, int threads) {
    Partial partial(s);
    in_parts(s, threads, [&](size_t row, size_t rows, size_t channel, size_t count, size_t part) {
        const size_t at = row * s.channels + channel;
        float *const first = partial.first(part) + channel, *const second = partial.second(part) + channel;
        std::vector<float> wide(x.integers ? rows * count : 0);  // stays in L2
        for (size_t r = 0; r < rows && x.integers; ++r)
            widen_part(x.integers + at + r * s.channels, count, wide.data() + r * count);
        const float* const numbers = x.integers ? wide.data() : x.numbers + at;
        const size_t x_stride = x.integers ? count : s.channels;
        if (window.sign)
            sums_part_in_window(g + at, numbers, rows, s.channels, x_stride, count, mean + channel,
                                from(window, channel), first, second);
        else
            sums_part(g + at, numbers, rows, s.channels, x_stride, count, mean + channel, first, second);
    });
    std::vector<double> sums(2 * s.channels);
    for (size_t part = 0; part < partial.parts(); ++part)
        for (size_t i = 0; i < 2 * s.channels; ++i) sums[i] += partial.first(part)[i];
    for (size_t c = 0; c < s.channels; ++c) {
        sum[c] = static_cast<float>(sums[c]);
        product[c] = static_cast<float>(sums[s.channels + c]);
    }
}

void norm_gradient(const NormShape& s, const float* g, const NormInput& x, const float* mean,
                   const NormWindow& window, const float* slope, const float* level, float* dx, int threads) {
    in_parts(s, threads, [&](size_t row, size_t rows, size_t channel, size_t count, size_t) {
        alignas(64) float answers[kChannels], wide[kChannels];
        for (size_t r = row; r < row + rows; ++r) {
            const size_t at = r * s.channels + channel;
            if (x.integers) widen_part(x.integers + at, count, wide);
            const float* const numbers = x.integers ? wide : x.numbers + at;
            if (window.sign)
                gradient_part_in_window(g + at, numbers, 1, count, count, mean + channel,
                                        from(window, channel), slope + channel, level + channel, answers);
            else
                gradient_part(g + at, numbers, 1, count, count, mean + channel, window.scale + channel,
                              slope + channel, level + channel, answers);
            store_past_cache(answers, count, dx + at);
        }
        stores_end();
    });
}

}  // namespace binarynet::training
