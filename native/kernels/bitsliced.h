// The bitsliced kernels and the transposition that feeds them, one piece of C++ for all instruction sets, as
// vertical.h, whose counters and lists they use with rows and outputs exchanged.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vertical.h"

namespace binarynet {
namespace {

// Bits whose number does not have J.
template <size_t J>
constexpr uint64_t low_halves() {
    uint64_t bits = ~uint64_t{0};
    for (size_t k = 32; k >= J; k /= 2) bits ^= bits << k;
    return bits;
}

// Lane i ^ J → lane i.
template <size_t J, class W>
BINARYNET_INLINE W partners(W x) {
    if constexpr (sizeof(W) == 64) {
        if constexpr (J == 4) return __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
        if constexpr (J == 2) return __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
        if constexpr (J == 1) return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
    } else if constexpr (sizeof(W) == 32) {
        if constexpr (J == 2) return __builtin_shufflevector(x, x, 2, 3, 0, 1);
        if constexpr (J == 1) return __builtin_shufflevector(x, x, 1, 0, 3, 2);
    } else {
        return __builtin_shufflevector(x, x, 1, 0);
    }
}

// In each 2 J × 2 J bits, the lower left and the upper right quarter change places. Rows that are J apart lie
// in different words or, for small J, in the same.
template <size_t J>
BINARYNET_INLINE void change_places(Word (&x)[64 * 8 / kWide]) {
    constexpr size_t kRows = kWide / 8, kWords = 64 / kRows;
    if constexpr (J >= kRows) {
        const Word low = Word{} + low_halves<J>();
        BINARYNET_UNROLL
        for (size_t i = 0; i < kWords; ++i) {
            if (i * kRows & J) continue;
            Word &a = x[i], &b = x[i + J / kRows];
            const Word t = ((a >> J) ^ b) & low;
            b ^= t;
            a ^= t << J;
        }
    } else {
        Word keep, up, down;
        for (size_t lane = 0; lane < kRows; ++lane) {
            keep[lane] = lane & J ? ~low_halves<J>() : low_halves<J>();
            up[lane] = lane & J ? 64 - J : J;
            down[lane] = 64 - up[lane];
        }
        BINARYNET_UNROLL
        for (size_t i = 0; i < kWords; ++i) {
            // What is turned past an end, `keep` keeps out.
            const Word t = partners<J>(x[i]);
            x[i] = (x[i] & keep) | (((t << up) | (t >> down)) & ~keep);
        }
    }
}

inline void transpose(const uint64_t* from, uint64_t* to) {
    Word x[64 * 8 / kWide];
    __builtin_memcpy(x, from, sizeof x);
    change_places<32>(x);
    change_places<16>(x);
    change_places<8>(x);
    change_places<4>(x);
    change_places<2>(x);
    change_places<1>(x);
    __builtin_memcpy(to, x, sizeof x);
}

// Strings of 64 channels or fewer, moved: bit i of a string is bit i + `down` of from, where the mask has bit
// i, else that of `outside`. What is written past a string, the next one replaces.
inline void slide(const Slide& v) {
    constexpr size_t kStep = kWide / 8;
    const Word outside = Word{} + v.outside;
    for (size_t i = 0; i < v.channels; ++i) {
        const uint64_t* from = v.strings + i * v.stride;
        uint8_t* to = v.out + i * v.words * 8;
        size_t q = 0;
        for (; q < v.words && (q + kStep <= v.words || i + 1 < v.channels); q += kStep) {
            const auto low = load_word<Word>(from + q), high = load_word<Word>(from + q + 1);
            // Twice, as a shift by 64 is none.
            const Word moved = low >> v.down | high << 1 << (63 - v.down);
            store_word(to + 8 * q, outside ^ ((moved ^ outside) & load_word<Word>(v.mask + q)));
        }
        for (; q < v.words; ++q) {
            const uint64_t moved = from[q] >> v.down | from[q + 1] << 1 << (63 - v.down);
            const uint64_t bits = v.outside ^ ((moved ^ v.outside) & v.mask[q]);
            __builtin_memcpy(to + 8 * q, &bits, 8);
        }
    }
}

// Digits of 2 c − m − u, of c `digits`: the last one is set where that is below 0.
template <size_t Groups>
BINARYNET_INLINE Word below(const Sliced& v, const Word* less, const uint8_t* counter, int digits,
                            const uint8_t* starts) {
    const size_t groups = Groups ? Groups : v.groups;
    Word carry = ~Word{}, other{}, twice{}, digit{};  // −m = ~m + 1
    for (int p = 0; p < v.planes; ++p, starts += groups) {
        Word start = load_word<Word>(v.classes + starts[0] * kWide);
        for (size_t g = 1; g < groups; ++g)
            start |= load_word<Word>(v.classes + (16 * g + starts[g]) * kWide);
        digit = less[p];
        carry = add(digit, start, carry);
        other = add(digit, twice, other);
        twice = p < digits ? load_word<Word>(counter + static_cast<size_t>(p) * kWide) : Word{};
    }
    return digit;
}

BINARYNET_INLINE void finish_output(const Sliced& v, const Word* less, const uint8_t* counter, int digits,
                                    size_t output) {
    const uint8_t* starts = v.starts + output * static_cast<size_t>(v.planes) * v.groups;
    const Word negative = v.groups == 1   ? below<1>(v, less, counter, digits, starts)
                          : v.groups == 3 ? below<3>(v, less, counter, digits, starts)
                                          : below<0>(v, less, counter, digits, starts);
    store_word(v.out + output * kWide, negative ^ (Word{} - uint64_t{v.flip[output] == 0}));
}

inline void sliced_bits(const Sliced& v) {
    const size_t counter_bytes = static_cast<size_t>(v.planes) * kWide;
    const Count none{};
    Count shared, of_first, of_second;
    Word less[kMostPlanes] = {};
    for (size_t i = 0; i < v.all_count; ++i) {
        const SlicedList& list = v.all[i];
        count_list<1>(v.entries + list.begin, v.entries + list.end, v.inputs + list.offset, &none, &shared);
        accumulate(reinterpret_cast<uint8_t*>(less), shared, v.planes);
    }
    for (int p = 0; p < v.planes; ++p) less[p] = ~less[p];
    const auto count_pair = [&](size_t pair, size_t chunk) {
        const uint8_t* inputs = v.inputs + v.offsets[chunk];
        const uint32_t* begin = v.begins + 4 * (pair * v.chunks + chunk);
        const uint16_t *both = v.entries + begin[0], *first = v.entries + begin[1],
                       *second = v.entries + begin[2], *end = v.entries + begin[3];
        count_list<1>(both, first, inputs, &none, &shared);
        count_list<1>(first, second, inputs, &shared, &of_first);
        count_list<1>(second, end, inputs, &shared, &of_second);
    };
    if (v.chunks == 1) {
        for (size_t pair = 0; pair < v.pairs; ++pair) {
            count_pair(pair, 0);
            const auto bytes = [](const Count& count) { return reinterpret_cast<const uint8_t*>(&count); };
            finish_output(v, less, bytes(of_first), kVerticalPlanes, 2 * pair);
            finish_output(v, less, bytes(of_second), kVerticalPlanes, 2 * pair + 1);
        }
        return;
    }
    for (size_t part = 0; part < v.pairs; part += kSlicedPairs) {
        const size_t pairs = v.pairs - part < kSlicedPairs ? v.pairs - part : kSlicedPairs;
        __builtin_memset(v.counters, 0, 2 * pairs * counter_bytes);
        for (size_t k = 0; k < v.chunks; ++k)
            for (size_t i = 0; i < pairs; ++i) {
                count_pair(part + i, k);
                uint8_t* counter = v.counters + 2 * i * counter_bytes;
                accumulate(counter, of_first, v.planes);
                accumulate(counter + counter_bytes, of_second, v.planes);
            }
        for (size_t i = 0; i < 2 * pairs; ++i)
            finish_output(v, less, v.counters + i * counter_bytes, v.planes, 2 * part + i);
    }
}

}  // namespace
}  // namespace binarynet
