// compile (.*): -fno-math-errno -fno-trapping-math
//
// The gradient of the weights: rows are filters, columns channels, and the depth is positions. Images that a
// step multiplies together (4 of bytes, 2 of bfloat16) lie in one lane, at the same pixel: so a tap is a
// shift by whole lanes, and the pixels outside the image are left out.
//
//     left    (group of images, group, block of filters, pixel, filter)     lanes of 4 bytes
//     right   (group of images, group, block of channels, pixel, channel)
//
// A linear layer has no pixels; its rows are laid out as if they were those of `numbers` images.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/threads.h"
#include "each_length.h"
#include "lanes.h"
#include "products.h"
#include "scratch.h"
#include "stream.h"

namespace binarynet::training {

namespace {

constexpr size_t kMostColumns = 64;  // of a strip

// dw = (2 sums − levels ones) scale of a filter.
EACH_LENGTH void finish(const int32_t* __restrict sums, const int32_t* __restrict ones, int levels,
                        float scale, size_t count, float* __restrict dw) {
    for (size_t c = 0; c < count; ++c) dw[c] = static_cast<float>(2 * sums[c] - levels * ones[c]) * scale;
}
EACH_LENGTH void finish(const float* __restrict sums, float scale, size_t count, float* __restrict dw) {
    for (size_t c = 0; c < count; ++c) dw[c] = sums[c] * scale;
}

}  // namespace

bool weight_gradient_fits(const Geometry& g, int most) {
    // 2 · 255 · most for each position, in the first term as in the second.
    return most <= kMostRight && g.images * g.out_pixels() * 2 * 255 * static_cast<size_t>(most) < size_t{1}
                                                                                                       << 30;
}

void weight_gradient(const Kernel& given_kernel, const Geometry& given, const Rounding& rounding,
                     const float* gradient, const Input& x, float* dw, int threads) {
    const Unit unit = rounding.unit;
    const Kernel& kernel = multiplier(given_kernel, given, Product::kWeightGradient, unit);
#if defined(__x86_64__)
    if (ConvShape shape;
        unit == Unit::kBfloat16 && x.codes.form == Form::kBits && as_bands(kernel, given, shape))
        return conv_weight_gradient(shape, {gradient}, 1, {nullptr, static_cast<const uint32_t*>(x.numbers)},
                                    1, dw, threads);
#endif
    const Lanes lanes(given, rounding, gradient, x, kernel.other, threads);
#if defined(__x86_64__)
    if (kernel.other) return weight_gradient_on_tiles(lanes, dw, threads);
#endif
    const Geometry& g = lanes.geometry();
    const size_t rows = kernel.rows, columns = kernel.columns, taps = g.taps();
    const size_t filters_each = g.filters_each(), channels_each = g.channels_each();
    const size_t left_blocks = divide_up(filters_each, rows),
                 right_blocks = divide_up(channels_each, columns);
    const size_t image_groups = lanes.image_groups(), out = g.out_pixels(), in = g.in_pixels();
    const size_t left_line = rows * 4, right_line = columns * 4;
    const size_t left_bytes = g.groups * left_blocks * out * left_line,
                 right_bytes = g.groups * right_blocks * in * right_line;
    uint8_t* const left = scratch(Scratch::kLeft, image_groups * left_bytes);
    uint8_t* const right = scratch(Scratch::kRight, image_groups * right_bytes);

    // Both operands, a line of pixels at a time.
    const size_t lines = std::max(g.y.out(), g.y.size);
    const size_t lane_count = std::max(left_blocks * rows, right_blocks * columns) + 16;
    const size_t own_bytes = divide_up(lanes.own_bytes() + lane_count * 4, 64) * 64;
    uint8_t* const tasks = scratch(Scratch::kTasks, static_cast<size_t>(threads) * own_bytes);
    parallel_for(image_groups * lines, threads, [&](size_t task, int slot) {
        const size_t image_group = task / lines, line = task % lines;
        uint8_t* const own = tasks + static_cast<size_t>(slot) * own_bytes;
        uint32_t* const found = reinterpret_cast<uint32_t*>(own + lanes.own_bytes());
        if (line < g.y.out())
            for (size_t pixel = line * g.x.out(); pixel < (line + 1) * g.x.out(); ++pixel)
                for (size_t group = 0; group < g.groups; ++group) {
                    lanes.gradient(image_group, pixel, group, own, found);
                    std::fill(found + filters_each, found + left_blocks * rows, 0u);
                    uint8_t* to =
                        left + image_group * left_bytes + (group * left_blocks * out + pixel) * left_line;
                    for (size_t block = 0; block < left_blocks; ++block, to += out * left_line)
                        std::memcpy(to, found + block * rows, left_line);
                }
        if (line < g.y.size)
            for (size_t pixel = line * g.x.size; pixel < (line + 1) * g.x.size; ++pixel)
                for (size_t group = 0; group < g.groups; ++group) {
                    lanes.input(image_group, pixel, group, own, found);
                    std::fill(found + channels_each, found + right_blocks * columns, 0u);
                    uint8_t* to =
                        right + image_group * right_bytes + (group * right_blocks * in + pixel) * right_line;
                    for (size_t block = 0; block < right_blocks; ++block, to += in * right_line)
                        std::memcpy(to, found + block * columns, right_line);
                }
    });

    // Segments of each tap: its lines of pixels, or one where all of them are one after the other.
    std::vector<std::vector<size_t>> left_at(taps), right_at(taps);
    std::vector<size_t> steps(taps);
    for (size_t tap = 0; tap < taps; ++tap) {
        const Reach a = reach(g.y, tap / g.x.kernel), b = reach(g.x, tap % g.x.kernel);
        const bool joined =
            b.end - b.begin == g.x.out() && g.x.out() == g.x.size && g.x.stride == 1 && g.y.stride == 1;
        steps[tap] = b.end - b.begin;
        for (size_t oy = a.begin; oy < a.end && steps[tap]; ++oy) {
            left_at[tap].push_back((oy * g.x.out() + b.begin) * left_line);
            right_at[tap].push_back(((a.source + (oy - a.begin) * g.y.stride) * g.x.size + b.source) *
                                    right_line);
            if (joined) break;
        }
        if (joined) steps[tap] *= a.end - a.begin;
    }
    const auto strip = kernel.strip(unit, x.codes.form == Form::kBits);
    const size_t sum_count = rows * columns, right_step = g.x.stride * right_line;
    // sums += of one block of filters, one of channels, one tap, one group of images.
    const auto add = [&](size_t image_group, size_t group, size_t left_block, size_t right_block, size_t tap,
                         uint8_t* sums) {
        Strip task{{},
                   right + image_group * right_bytes + (group * right_blocks + right_block) * in * right_line,
                   left_at[tap].data(),
                   right_at[tap].data(),
                   left_at[tap].size(),
                   steps[tap],
                   left_line,
                   right_step,
                   image_group != 0,
                   sums};
        const uint8_t* const a =
            left + image_group * left_bytes + (group * left_blocks + left_block) * out * left_line;
        for (size_t r = 0; r < rows; ++r) task.left[r] = a + r * 4;
        strip(task);
    };
    // Of bytes: the sums of the channels, which the codes' middle takes away.
    std::vector<int32_t> ones;
    if (unit == Unit::kBytes) {
        ones.resize(g.groups * right_blocks * taps * columns);
        static const uint32_t kOnes = 0x01010101;
        parallel_for(g.groups * right_blocks * taps, threads, [&](size_t task, int) {
            alignas(64) int32_t sums[kMostRows * kMostColumns];
            const size_t tap = task % taps, block = task / taps;
            const std::vector<size_t> none(left_at[tap].size());
            for (size_t n = 0; n < image_groups; ++n) {
                Strip one{{},          right + n * right_bytes + block * in * right_line,
                          none.data(), right_at[tap].data(),
                          none.size(), steps[tap],
                          0,           right_step,
                          n != 0,      sums};
                for (size_t r = 0; r < rows; ++r) one.left[r] = reinterpret_cast<const uint8_t*>(&kOnes);
                strip(one);
            }
            std::copy_n(sums, columns, ones.begin() + static_cast<std::ptrdiff_t>(task * columns));
        });
    }
    // A task takes some blocks of filters, so that the channels' pixels are read for many.
    const size_t shares =
        std::min(left_blocks, divide_up(static_cast<size_t>(threads) * 4, g.groups * right_blocks));
    const size_t fit = divide_up(left_blocks, shares);
    const size_t task_bytes = fit * taps * sum_count * 4;
    uint8_t* const sums_of = scratch(Scratch::kSums, static_cast<size_t>(threads) * task_bytes);
    parallel_for(g.groups * right_blocks * shares, threads, [&](size_t task, int slot) {
        const size_t share = task % shares, right_block = task / shares % right_blocks,
                     group = task / shares / right_blocks;
        const size_t begin = left_blocks * share / shares, end = left_blocks * (share + 1) / shares;
        uint8_t* const mine = sums_of + static_cast<size_t>(slot) * task_bytes;
        const size_t channel = right_block * columns, count = std::min(columns, channels_each - channel);
        const auto store = [&](size_t block) {
            const uint8_t* const sums = mine + (block - begin) * taps * sum_count * 4;
            alignas(64) float row[kMostColumns];
            std::vector<float> finished(taps == 1 ? 0 : taps * columns);
            for (size_t r = 0; r < rows && block * rows + r < filters_each; ++r) {
                const size_t filter = group * filters_each + block * rows + r;
                float* const to = dw + (filter * channels_each + channel) * taps;
                for (size_t tap = 0; tap < taps; ++tap) {
                    const uint8_t* const from = sums + (tap * sum_count + r * columns) * 4;
                    float* const line = taps == 1 ? row : finished.data() + tap * columns;
                    if (unit == Unit::kBytes)
                        finish(reinterpret_cast<const int32_t*>(from),
                               ones.data() + ((group * right_blocks + right_block) * taps + tap) * columns,
                               lanes.levels(), lanes.scale(filter), count, line);
                    else
                        finish(reinterpret_cast<const float*>(from), lanes.scale(filter), count, line);
                }
                if (taps == 1) store_past_cache(row, count, to);
                for (size_t c = 0; taps > 1 && c < count; ++c)
                    for (size_t tap = 0; tap < taps; ++tap) to[c * taps + tap] = finished[tap * columns + c];
            }
        };
        for (size_t n = 0; n < image_groups; ++n)
            for (size_t block = begin; block < end; ++block) {
                for (size_t tap = 0; tap < taps; ++tap)
                    add(n, group, block, right_block, tap,
                        mine + ((block - begin) * taps + tap) * sum_count * 4);
                if (n + 1 == image_groups) store(block);
            }
        stores_end();
    });
}

}  // namespace binarynet::training
