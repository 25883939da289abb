// compile (.*): -fno-math-errno -fno-trapping-math
//
// Products whose rows are positions: forward and gradient of the input. Positions with the same taps are
// *classes*: those inside an image, along each of its borders, in its corners; and the gradient of a strided
// convolution has some for each phase. A task takes some positions of a class, whose operands stay in L2, and
// one block of columns after the other.
#include "rows.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/threads.h"
#include "each_length.h"
#include "interleave.h"
#include "scratch.h"

namespace binarynet::training {

namespace {

constexpr size_t kRowBytes = 128 << 10;  // of the positions of a task

// y[r][c] = (mul sums[r][c] + add[c]) scale[c] row[r], the first product of integers.
EACH_LENGTH void finish(const int32_t* sums, size_t rows, size_t columns, int mul, const int32_t* add,
                        const float* scale, const float* row, size_t count, float* const* y) {
    for (size_t r = 0; r < rows; ++r, sums += columns) {
        const int32_t* __restrict const from = sums;
        float* __restrict const to = y[r];
        const float factor = row[r];
        for (size_t c = 0; c < count; ++c)
            to[c] = static_cast<float>(mul * from[c] + add[c]) * (scale[c] * factor);
    }
}
// Four signs of each word, from bit `first` on, as bytes ±1; those beyond `there` are 0.
EACH_LENGTH void signs_to_bytes(const uint32_t* __restrict words, size_t first, size_t there, size_t count,
                                uint32_t* __restrict lanes) {
    const uint32_t mask = there >= 4 ? 0xffffffff : (1u << 8 * there) - 1;
    for (size_t i = 0; i < count; ++i) {
        const uint32_t four = words[i] >> first & 15, positive = four * 0x00204081 & 0x01010101;
        lanes[i] = (0xffffffff - positive * 0xfe) & mask;
    }
}
EACH_LENGTH void add_columns(const int8_t* panel, size_t steps, size_t columns, int32_t* __restrict sums) {
    for (size_t k = 0; k < steps; ++k, panel += columns * 4)
        for (size_t c = 0; c < columns; ++c)
            sums[c] += panel[4 * c] + panel[4 * c + 1] + panel[4 * c + 2] + panel[4 * c + 3];
}

}  // namespace

// The right operand of a block of columns, (tap, step, column, 4 bytes), and its sums (tap, column).
void Rows::panel(size_t block, uint8_t* to, int32_t* sums) const {
    const size_t group = block / blocks_each(), first = block % blocks_each() * kernel.columns;
    const size_t count = std::min(kernel.columns, columns_each() - first), taps = g.taps();
    const size_t channels = g.channels_each(), words = divide_up(channels, 32),
                 numbers = numbers_in_step(unit);
    const size_t steps = divide_up(depth_each(), numbers), padded = panel_steps();
    const bool bits = weights.form == Form::kBits;
    const uint32_t* const signs = static_cast<const uint32_t*>(weights.numbers);
    const int8_t* const bytes = static_cast<const int8_t*>(weights.numbers);
    std::vector<float> real(forwards ? 0 : 4 * count);
    std::vector<uint32_t> turned(forwards && bits && unit == Unit::kBytes ? words * kernel.columns : 0);
    for (size_t tap = 0; tap < taps; ++tap) {
        uint32_t* const lanes = reinterpret_cast<uint32_t*>(to + tap * tap_bytes());
        if (forwards && bits) {
            // As they lie, one word of each filter beside the other; of bytes, eight times four of them.
            uint32_t* const words_of = unit == Unit::kBits ? lanes : turned.data();
            for (size_t column = 0; column < kernel.columns; ++column) {
                const size_t filter = group * g.filters_each() + first + column;
                const uint32_t* const from = signs + (filter * taps + tap) * words;
                for (size_t k = 0; k < words; ++k)
                    words_of[k * kernel.columns + column] = column < count ? from[k] : 0;
            }
            for (size_t k = 0; unit == Unit::kBytes && k < steps; ++k)
                signs_to_bytes(words_of + k / 8 * kernel.columns, k % 8 * 4, channels - 4 * k, kernel.columns,
                               lanes + k * kernel.columns);
        } else if (forwards) {
            for (size_t column = 0; column < kernel.columns; ++column) {
                const size_t filter = group * g.filters_each() + first + column;
                for (size_t k = 0; k < steps; ++k) {
                    uint32_t lane = 0;
                    if (column < count)
                        std::memcpy(&lane, bytes + (filter * taps + tap) * channels + 4 * k,
                                    std::min<size_t>(4, channels - 4 * k));
                    lanes[k * kernel.columns + column] = lane;
                }
            }
        } else {
            for (size_t k = 0; k < steps; ++k) {
                const auto filter = [&](size_t i) { return group * g.filters_each() + k * numbers + i; };
                const auto there = [&](size_t i) { return k * numbers + i < depth_each(); };
                if (bits) {
                    const uint32_t* rows[4] = {};
                    for (size_t i = 0; i < numbers; ++i)
                        if (there(i)) rows[i] = signs + (filter(i) * taps + tap) * words;
                    interleave_signs(unit, rows, first, divide_up(count, 16) * 16,
                                     lanes + k * kernel.columns);
                } else {
                    const float* rows[4] = {};
                    for (size_t i = 0; i < numbers; ++i) {
                        if (!there(i)) continue;
                        const int8_t* const row = bytes + (filter(i) * taps + tap) * channels + first;
                        for (size_t c = 0; c < count; ++c) real[i * count + c] = row[c];
                        rows[i] = real.data() + i * count;
                    }
                    interleave(unit, rows, count, lanes + k * kernel.columns);
                }
            }
        }
        std::fill(lanes + steps * kernel.columns, lanes + padded * kernel.columns, 0u);
        if (unit == Unit::kBytes) {
            int32_t* const of_tap = sums + tap * kernel.columns;
            std::fill_n(of_tap, kernel.columns, 0);
            add_columns(reinterpret_cast<const int8_t*>(lanes), steps, kernel.columns, of_tap);
        }
    }
}

std::vector<Part> parts_of(const Axis& y, const Axis& x, size_t images, size_t most, size_t rows) {
    std::vector<Part> parts;
    for (const Axis::Group& a : y.groups)
        for (const Axis::Group& b : x.groups) {
            const size_t count = images * a.places.size() * b.places.size(), shares = divide_up(count, most);
            for (size_t i = 0; i < shares; ++i) {
                const auto at = [&](size_t n) {
                    return std::min(count, divide_up(count * n / shares, rows) * rows);
                };
                const size_t end = i + 1 == shares ? count : at(i + 1);
                if (at(i) < end) parts.push_back({&a, &b, at(i), end});
            }
        }
    return parts;
}

void Rows::run(int threads) const {
#if defined(__x86_64__)
    if (kernel.other) return run_on_tiles(threads);
#endif
    const size_t blocks = g.groups * blocks_each(), columns = kernel.columns, rows = kernel.rows;
    const size_t position = g.groups * steps * 4, width = columns_each() * g.groups;
    const size_t piece = g.images * y.sources * x.sources * position;
    const size_t some = std::max<size_t>(8, kRowBytes / (pieces * position) / rows) * rows;
    const std::vector<Part> parts = parts_of(y, x, g.images, some, rows);
    // Few positions: a task is a block of columns, whose panel it makes. Many: panels are made before.
    const bool by_columns = parts.size() < static_cast<size_t>(threads) * 4;
    const size_t panel_size = panel_bytes(), sum_count = g.taps() * columns;
    const size_t panels = by_columns ? static_cast<size_t>(threads) : blocks;
    uint8_t* const made = scratch(Scratch::kPanels, panels * (panel_size + sum_count * sizeof(int32_t)));
    int32_t* const made_sums = reinterpret_cast<int32_t*>(made + panels * panel_size);
    if (!by_columns)
        parallel_for(blocks, threads, [&](size_t block, int) {
            panel(block, made + block * panel_size, made_sums + block * sum_count);
        });

    const auto strip = this->kernel.strip(unit, weights.form == Form::kBits);
    const size_t most = g.taps() * pieces;
    const size_t own_bytes = divide_up((rows + 2) * columns * 4 + 2 * most * sizeof(size_t), 64) * 64;
    uint8_t* const tasks = scratch(Scratch::kTasks, static_cast<size_t>(threads) * own_bytes);
    const auto work = [&](const Part& part, size_t block, const uint8_t* right, const int32_t* right_sums,
                          int slot) {
        int32_t* const sums = reinterpret_cast<int32_t*>(tasks + static_cast<size_t>(slot) * own_bytes);
        int32_t* const add = sums + rows * columns;
        float* const scale = reinterpret_cast<float*>(add + columns);
        size_t* const left_at = reinterpret_cast<size_t*>(scale + columns);
        size_t* const right_at = left_at + most;

        const Axis::Group &a = *part.y, &b = *part.x;
        const size_t group = block / blocks_each(), first = block % blocks_each() * columns;
        const size_t count = std::min(columns, columns_each() - first),
                     column = group * columns_each() + first;
        const size_t depth = a.taps.size() * b.taps.size() * depth_each();
        std::fill_n(add, columns, unit == Unit::kBits ? static_cast<int32_t>(depth) : 0);
        size_t segments = 0;
        for (size_t i = 0; i < a.taps.size(); ++i)
            for (size_t j = 0; j < b.taps.size(); ++j) {
                const size_t tap = a.taps[i] * g.x.kernel + b.taps[j];
                const ptrdiff_t apart = a.apart[i] * static_cast<ptrdiff_t>(x.sources) + b.apart[j];
                for (size_t p = 0; p < pieces; ++p, ++segments) {
                    // Negative ones wrap, and come back when they are added.
                    left_at[segments] =
                        static_cast<size_t>(apart * static_cast<ptrdiff_t>(position)) + p * piece;
                    right_at[segments] = tap * tap_bytes();
                }
                if (unit == Unit::kBytes)
                    for (size_t c = 0; c < columns; ++c) add[c] += each * right_sums[tap * columns + c];
            }
        for (size_t c = 0; c < count; ++c) scale[c] = scales ? scales[column + c] * this->scale : this->scale;

        Position at(part, part.begin);
        Strip task{{}, right, left_at, right_at, segments, steps, 4, columns * 4, false, sums};
        for (size_t begin = part.begin; begin < part.end; begin += rows) {
            const size_t here = std::min(rows, part.end - begin);
            float* to[kMostRows];
            float row_scale[kMostRows];
            for (size_t r = 0; r < here; ++r, at.next()) {
                to[r] = out + place(part, at) * width + column;
                row_scale[r] = row_scales ? row_scales[at.image] : 1.0f;
                task.left[r] = left + source(part, at) * position + group * steps * 4;
            }
            for (size_t r = here; r < rows; ++r) task.left[r] = task.left[0];
            strip(task);
            if (unit == Unit::kBits || unit == Unit::kBytes)
                finish(sums, here, columns, mul, add, scale, row_scale, count, to);
            else
                for (size_t r = 0; r < here; ++r)
                    std::memcpy(to[r], sums + r * columns, count * sizeof(float));
        }
    };
    if (by_columns) {
        parallel_for(blocks, threads, [&](size_t block, int slot) {
            uint8_t* const right = made + static_cast<size_t>(slot) * panel_size;
            int32_t* const right_sums = made_sums + static_cast<size_t>(slot) * sum_count;
            panel(block, right, right_sums);
            for (const Part& part : parts) work(part, block, right, right_sums, slot);
        });
    } else {
        parallel_for(parts.size(), threads, [&](size_t part, int slot) {
            for (size_t block = 0; block < blocks; ++block)
                work(parts[part], block, made + block * panel_size, made_sums + block * sum_count, slot);
        });
    }
}

}  // namespace binarynet::training
