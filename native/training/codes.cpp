// compile (.*): -fno-math-errno -fno-trapping-math
#include "codes.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "each_length.h"
#include "scratch.h"

namespace binarynet::training {

namespace {

constexpr size_t kPart = 1 << 15;
constexpr int kMostCode = 255, kMostParts = 16;

struct Found {
    bool bad, even;
    int most, least;
};

// The whole number of scales next to x.
inline __attribute__((always_inline)) int whole(float x, float inverse) {
    float v = x * inverse;
    v = v < 512.0f ? v : 512.0f;  // NaN, too
    v = v > -512.0f ? v : -512.0f;
    return static_cast<int>(v + (v < 0 ? -0.5f : 0.5f));
}

EACH_LENGTH Found look(const float* x, size_t count, float scale, float inverse) {
    int bad = 0, even = 0, most = 0, least = 0;
    for (size_t i = 0; i < count; ++i) {
        const int n = whole(x[i], inverse);
        bad |= !(static_cast<float>(n) * scale == x[i]);
        even |= ~n & 1;
        most = n > most ? n : most;
        least = n < least ? n : least;
    }
    return {bad != 0, even != 0, most, least};
}

// The least size above 0; infinity if there is none. Sizes in the order of their bits, which a vector can
// compare; 0 is made the largest.
EACH_LENGTH float smallest(const float* x, size_t count) {
    constexpr uint32_t kInfinite = 0x7f800000;
    uint32_t least = kInfinite - 1;
    for (size_t i = 0; i < count; ++i) {
        const uint32_t size = (std::bit_cast<uint32_t>(x[i]) & 0x7fffffff) - 1;
        least = size < least ? size : least;
    }
    return std::bit_cast<float>(least + 1);
}

EACH_LENGTH void encode(const float* x, size_t count, float inverse, int step, int offset, uint8_t* first,
                        uint8_t* second) {
    if (!second) {
        const int shift = step == 2;
        for (size_t i = 0; i < count; ++i)
            first[i] = static_cast<uint8_t>((whole(x[i], inverse) - offset) >> shift);
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        const int code = whole(x[i], inverse) - offset, low = code < kMostCode ? code : kMostCode;
        first[i] = static_cast<uint8_t>(low);
        second[i] = static_cast<uint8_t>(code - low);
    }
}

EACH_LENGTH void encode_weights(const float* w, size_t count, float inverse, int8_t* bytes) {
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<int8_t>(whole(w[i], inverse));
}

Found look_at_all(const float* x, size_t count, float scale, int threads) {
    const float inverse = 1 / scale;
    const size_t parts = divide_up(count, kPart);
    std::vector<Found> found(parts);
    std::atomic<bool> bad{false};
    parallel_for(parts, threads, [&](size_t part, int) {
        if (bad) return;
        const size_t begin = part * kPart;
        found[part] = look(x + begin, std::min(kPart, count - begin), scale, inverse);
        if (found[part].bad) bad = true;
    });
    Found all{bad, false, 0, 0};
    for (const Found& one : found) {
        all.even |= one.even;
        all.most = std::max(all.most, one.most);
        all.least = std::min(all.least, one.least);
    }
    return all;
}

float smallest_of_all(const float* x, size_t count, int threads) {
    const size_t parts = divide_up(count, kPart);
    std::vector<float> found(parts);
    parallel_for(parts, threads, [&](size_t part, int) {
        const size_t begin = part * kPart;
        found[part] = smallest(x + begin, std::min(kPart, count - begin));
    });
    return *std::min_element(found.begin(), found.end());
}

EACH_LENGTH bool all_of_size(const float* w, size_t count, float size) {
    int other = 0;
    for (size_t i = 0; i < count; ++i) other |= !(std::fabs(w[i]) == size);
    return !other;
}

// Bits (channel, tap) → (tap, words).
void sort_taps(const uint32_t* bits, size_t channels, size_t taps, uint32_t* to) {
    const size_t words = divide_up(channels, 32);
    std::fill_n(to, taps * words, 0u);
    size_t at = 0;
    for (size_t c = 0; c < channels; ++c)
        for (size_t t = 0; t < taps; ++t, ++at)
            to[t * words + c / 32] |= (bits[at / 32] >> at % 32 & 1) << c % 32;
}

}  // namespace

size_t sign_words(const Geometry& g) {
    return g.images * g.in_pixels() * g.groups * divide_up(g.channels_each(), 32);
}

size_t code_bytes(const Geometry& g) {
    return g.images * g.in_pixels() * g.groups * divide_up(g.channels_each(), 4) * 4;
}

size_t weight_words(const Geometry& g) {
    return g.filters * g.taps() * divide_up(g.channels_each(), 32);
}

bool pack_ones(const Kernel& kernel, const Geometry& g, const float* x, uint32_t* bits, int threads) {
    const size_t each = g.channels_each(), words = divide_up(each, 32);
    // Rows without gaps are one long row.
    const bool joined = each % 32 == 0;
    const size_t rows = joined ? 1 : g.images * g.in_pixels() * g.groups;
    const size_t length = joined ? g.images * g.in_pixels() * g.channels : each;
    const size_t parts = joined ? divide_up(length, kPart) : divide_up(rows * each, kPart);
    std::atomic<bool> good{true};
    parallel_for(parts, threads, [&](size_t part, int) {
        if (!good) return;
        if (joined) {
            const size_t begin = part * kPart;
            if (!kernel.ones(x + begin, std::min(kPart, length - begin), bits + begin / 32)) good = false;
            return;
        }
        for (size_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row)
            if (!kernel.ones(x + row * each, each, bits + row * words)) {
                good = false;
                return;
            }
    });
    return good;
}

Codes find_codes(const float* x, size_t count, int threads) {
    Codes codes;
    // Integers, or else parts of the smallest number: code 1 need not be there, and most tensors that are no
    // codes show it in the beginning.
    const size_t some = std::min<size_t>(count, 1 << 10);
    float scale = 1;
    if (look(x, some, 1, 1).bad) {
        const float least = smallest_of_all(x, count, threads);
        if (!std::isfinite(least)) return codes;
        int part = 1;
        for (scale = least; part <= kMostParts && look(x, some, scale, 1 / scale).bad;)
            scale = least / static_cast<float>(++part);
        if (part > kMostParts) return codes;
    }
    Found found = look_at_all(x, count, scale, threads);
    if (found.bad) return codes;
    const int most = std::max(found.most, -found.least);
    if (most > kMostCode) return codes;
    codes.form = Form::kBytes;
    codes.scale = scale;
    codes.most = std::max(most, 1);
    if (!found.even)
        codes.step = 2, codes.offset = -kMostCode;
    else if (found.most < 128 && found.least >= -128)
        codes.offset = -128;
    else
        codes.offset = -kMostCode, codes.pieces = 2;
    return codes;
}

void pack_codes(const Geometry& g, const Codes& codes, const float* x, uint8_t* bytes, int threads) {
    const size_t each = g.channels_each(), padded = divide_up(each, 4) * 4, all = code_bytes(g);
    const float inverse = 1 / codes.scale;
    const bool joined = each == padded;
    const size_t rows = joined ? 1 : g.images * g.in_pixels() * g.groups;
    const size_t length = g.images * g.in_pixels() * g.channels, parts = divide_up(length, kPart);
    parallel_for(parts, threads, [&](size_t part, int) {
        const auto row = [&](size_t from, size_t count, size_t to) {
            encode(x + from, count, inverse, codes.step, codes.offset, bytes + to,
                   codes.pieces == 2 ? bytes + all + to : nullptr);
        };
        if (joined) return row(part * kPart, std::min(kPart, length - part * kPart), part * kPart);
        for (size_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r)
            row(r * each, each, r * padded);
    });
}

void unpack(const Geometry& g, const Codes& codes, const void* numbers, float* x, int threads) {
    const size_t each = g.channels_each(), padded = divide_up(each, 4) * 4, words = divide_up(each, 32);
    const size_t rows = g.images * g.in_pixels() * g.groups, all = code_bytes(g),
                 parts = divide_up(rows * each, kPart);
    parallel_for(parts, threads, [&](size_t part, int) {
        for (size_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row)
            for (size_t c = 0; c < each; ++c) {
                int number;
                if (codes.form == Form::kBits) {
                    const uint32_t word = static_cast<const uint32_t*>(numbers)[row * words + c / 32];
                    number = word >> c % 32 & 1 ? 1 : -1;
                } else {
                    const uint8_t* const code = static_cast<const uint8_t*>(numbers) + row * padded + c;
                    number = codes.step * (code[0] + (codes.pieces == 2 ? code[all] : 0)) + codes.offset;
                }
                x[row * each + c] = static_cast<float>(number) * codes.scale;
            }
    });
}

bool pack_weight_signs(const Kernel& kernel, const Geometry& g, const float* w, bool latent, uint32_t* bits,
                       float* scales, int threads) {
    const size_t taps = g.taps(), depth = g.channels_each() * taps;
    const size_t words = taps * divide_up(g.channels_each(), 32), row_words = divide_up(depth, 32);
    uint32_t* const rows = reinterpret_cast<uint32_t*>(
        scratch(Scratch::kTasks, static_cast<size_t>(threads) * row_words * sizeof(uint32_t)));
    std::atomic<bool> good{true};
    parallel_for(g.filters, threads, [&](size_t f, int slot) {
        const float* const filter = w + f * depth;
        scales[f] = latent ? 1.0f : std::fabs(filter[0]);
        uint32_t* const row = rows + static_cast<size_t>(slot) * row_words;
        if (!good ||
            (!latent &&
             !(scales[f] > 0 && std::isfinite(scales[f]) && all_of_size(filter, depth, scales[f]))) ||
            !kernel.signs(filter, depth, taps == 1 ? bits + f * words : row)) {
            good = false;
            return;
        }
        if (taps > 1) sort_taps(row, g.channels_each(), taps, bits + f * words);
    });
    return good;
}

bool pack_weight_bytes(const Geometry& g, const float* w, int8_t* bytes, float* scales, int threads) {
    const size_t taps = g.taps(), channels = g.channels_each(), depth = channels * taps;
    const float common = smallest_of_all(w, g.filters * depth, threads);
    int8_t* const rows = reinterpret_cast<int8_t*>(
        scratch(Scratch::kTasks, taps > 1 ? static_cast<size_t>(threads) * depth : 1));
    std::atomic<bool> good{true};
    parallel_for(g.filters, threads, [&](size_t f, int slot) {
        const float* const filter = w + f * depth;
        float scale = common;
        const auto fits = [&] {
            const Found found = look(filter, depth, scale, 1 / scale);
            return !found.bad && found.most <= kMostRight && found.least >= -kMostRight;
        };
        if (!std::isfinite(scale)) scale = 1;  // a layer of zeros
        if (good && !fits()) {
            scale = smallest(filter, depth);
            if (!std::isfinite(scale)) scale = 1;
            if (!fits()) good = false;
        }
        if (!good) return;
        scales[f] = scale;
        int8_t* const sorted = bytes + f * depth;
        int8_t* const row = taps > 1 ? rows + static_cast<size_t>(slot) * depth : sorted;
        encode_weights(filter, depth, 1 / scale, row);
        for (size_t t = 0; t < taps && taps > 1; ++t)
            for (size_t c = 0; c < channels; ++c) sorted[t * channels + c] = row[c * taps + t];
    });
    return good;
}

}  // namespace binarynet::training
