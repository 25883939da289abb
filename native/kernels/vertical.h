// The vertical kernels, one piece of C++ for all instruction sets: each file of native/kernels includes this
// and compiles it with its own flags. A word is a vector of the compiler's own, as wide as a register.
// Everything has internal linkage, as in bits.h.
//
//     512 bits, Zen 5         per cycle           a full adder            words a cycle
//     vpternlogq              2 of three live     2 vpternlogq            1
//                             registers
//     vpxorq, vpandq          4                   (5 of them: 0.8)
//     load                    2
//
// A word of weights costs one load and one full adder, as each adder makes two words of three. Elsewhere an
// adder is 5 operations (xor, xor, xor, and, xor). Sixteen words leave one that counts 16, which ripples into
// the higher digits.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <type_traits>

#include "lists.h"
#include "widen.h"

namespace binarynet {
namespace {

template <size_t Bytes>
struct WideOf {
    typedef uint64_t Type __attribute__((vector_size(Bytes)));
};
template <size_t Bytes>
using Wide = typename WideOf<Bytes>::Type;
using Word = Wide<kWide>;

template <class W>
BINARYNET_INLINE W load_word(const void* from) {
    W to;
    __builtin_memcpy(&to, from, sizeof to);
    return to;
}

template <class W>
BINARYNET_INLINE void store_word(void* to, const W& word) {
    __builtin_memcpy(to, &word, sizeof word);
}

#if defined(__AVX512F__)
BINARYNET_INLINE Wide<64> sum3(Wide<64> a, Wide<64> b, Wide<64> c) {
    return (Wide<64>)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
}
BINARYNET_INLINE Wide<64> majority(Wide<64> a, Wide<64> b, Wide<64> c) {
    return (Wide<64>)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xe8);
}
// a where they differ, else `equal`.
BINARYNET_INLINE Wide<64> decided(Wide<64> a, Wide<64> b, Wide<64> equal) {
    return (Wide<64>)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)equal, 0xb2);
}
#endif
template <class W>
BINARYNET_INLINE W sum3(W a, W b, W c) {
    return a ^ b ^ c;
}
template <class W>
BINARYNET_INLINE W majority(W a, W b, W c) {
    return a ^ ((a ^ b) & (a ^ c));
}
template <class W>
BINARYNET_INLINE W decided(W a, W b, W equal) {
    return equal ^ ((a ^ b) & (a ^ equal));
}

// digit + a + b → digit, and the carry.
template <class W>
BINARYNET_INLINE W add(W& digit, W a, W b) {
    const W carry = majority(digit, a, b);
    digit = sum3(digit, a, b);
    return carry;
}
template <class W>
BINARYNET_INLINE W add(W& digit, W a) {
    const W carry = digit & a;
    digit ^= a;
    return carry;
}

static_assert(kVerticalInputs < 1024 && kVerticalPlanes == 10);

// What one or two lists of a chunk count to, digit by digit. Names, not arrays: those would live in memory.
struct Count {
    Word d1, d2, d4, d8, d16, d32, d64, d128, d256, d512;

    // A carry into the digit that counts 16, 32, 64.
    BINARYNET_INLINE void ripple16(Word carry) { ripple32(add(d16, carry)); }
    BINARYNET_INLINE void ripple32(Word carry) { ripple64(add(d32, carry)); }
    BINARYNET_INLINE void ripple64(Word carry) {
        carry = add(d64, carry);
        carry = add(d128, carry);
        d512 ^= add(d256, carry);
    }
};

// Sixteen listed words, entries in units of `Scale` bytes, into four digits; what counts 16 is returned. The
// words meet each other first, the digits last, so that sixteen words wait only once for those before them.
template <size_t Scale>
BINARYNET_INLINE Word sixteen(const uint16_t* entries, const uint8_t* weights, Word& d1, Word& d2, Word& d4,
                              Word& d8) {
    // Four entries in one load: an entry's own load takes the place of a word's.
    uint64_t q;
    const auto four = [&](size_t k) { __builtin_memcpy(&q, entries + k, sizeof q); };
    const auto word = [&](int k) { return load_word<Word>(weights + (q >> 16 * k & 0xffff) * Scale); };
    four(0);
    Word x0 = word(0), x1 = word(1), x2 = word(2), x3 = word(3);
    four(4);
    Word y0 = word(0), y1 = word(1), y2 = word(2), y3 = word(3);
    Word ax = add(x0, x1, x2), ay = add(y0, y1, y2);  // of weight 2
    four(8);
    Word z0 = word(0), z1 = word(1), z2 = word(2), z3 = word(3);
    Word as = add(x3, y3, z3), az = add(z0, z1, z2);
    four(12);
    Word v0 = word(0), v1 = word(1), v2 = word(2), v3 = word(3);
    Word av = add(v0, v1, v2), at = add(x0, y0, z0);
    Word b0 = add(ax, ay, as), au = add(x3, v0, v3), b1 = add(az, av, at), aw = add(d1, x0, x3);
    Word b2 = add(ax, az, au), b3 = add(d2, ax, aw);  // b: of weight 4
    Word c0 = add(b0, b1, b2), c1 = add(d4, b0, b3);
    return add(d8, c0, c1);
}

// Are there registers for 64 words a turn? Their carries reach the high digits half as often.
constexpr bool kManyWords = kWide == 64;

// A list on top of what was counted before. Not inline: three of them would share the registers of one.
template <size_t Scale = 8>
__attribute__((noinline)) void count_list(const uint16_t* entries, const uint16_t* end,
                                          const uint8_t* weights, const Count* before, Count* after) {
    Count count = *before;
    const auto next = [&](size_t k) __attribute__((always_inline)) {
        return sixteen<Scale>(entries + k, weights, count.d1, count.d2, count.d4, count.d8);
    };
    const auto two = [&](size_t k) __attribute__((always_inline)) {
        const Word a = next(k), b = next(k + kListUnit);
        return add(count.d16, a, b);
    };
    if constexpr (kManyWords)
        for (; entries + 4 * kListUnit <= end; entries += 4 * kListUnit) {
            const Word a = two(0), b = two(2 * kListUnit);
            count.ripple64(add(count.d32, a, b));
        }
    for (; entries + 2 * kListUnit <= end; entries += 2 * kListUnit) count.ripple32(two(0));
    if (entries < end) count.ripple16(next(0));
    *after = count;
}

// counter = count + what the digits are that `before` gives
template <class Before>
BINARYNET_INLINE void accumulate(uint8_t* counter, const Count& count, int planes, Before&& before) {
    Word carry{};
    int digit = 0;
    const auto take = [&](Word more) __attribute__((always_inline)) {
        Word sum = before(digit++);
        carry = add(sum, more, carry);
        store_word(counter, sum);
        counter += kWide;
    };
    take(count.d1);
    take(count.d2);
    take(count.d4);
    take(count.d8);
    take(count.d16);
    take(count.d32);
    take(count.d64);
    take(count.d128);
    take(count.d256);
    take(count.d512);
    for (int p = kVerticalPlanes; p < planes; ++p, counter += kWide) {
        Word sum = before(p);
        carry = add(sum, carry);
        store_word(counter, sum);
    }
}

// counter += count
BINARYNET_INLINE void accumulate(uint8_t* counter, const Count& count, int planes) {
    accumulate(counter, count, planes,
               [=](int p) __attribute__((always_inline)) { return load_word<Word>(counter + p * kWide); });
}

// counter = count
BINARYNET_INLINE void start(uint8_t* counter, const Count& count, int planes) {
    const Word digits[] = {count.d1,  count.d2,  count.d4,   count.d8,   count.d16,
                           count.d32, count.d64, count.d128, count.d256, count.d512};
    BINARYNET_UNROLL
    for (int p = 0; p < kVerticalPlanes; ++p) store_word(counter + p * kWide, digits[p]);
    for (int p = kVerticalPlanes; p < planes; ++p) store_word(counter + p * kWide, Word{});
}

// The listed words of the next chunk come to L1 while this one is counted: one pair needs only some of them.
inline void prefetch_listed(const Vertical& v, size_t chunk, const uint8_t* weights) {
    const uint32_t* begin = v.begins + 4 * chunk;
    for (const uint16_t *entry = v.entries + begin[0], *end = v.entries + begin[3]; entry < end; ++entry)
        __builtin_prefetch(weights + size_t{*entry} * 8, 0, 3);
}

// The counters of a block, part 0 of which is the first `part_bytes` of a word. A row of the answer is done
// as soon as its counters are: they are close at hand, and what it stores leaves while others are counted.
template <class Done>
__attribute__((noinline)) void count_block(const Vertical& v, size_t block, size_t part_bytes, Done&& done) {
    const size_t counter_bytes = static_cast<size_t>(v.planes) * kWide;
    const bool alone = v.rows == 1 && v.pairs == 1 && v.used_parts == 1;  // a pair of one row
    const Count none{};
    Word starts[2] = {};  // of a digit 0, 1
    __builtin_memset(&starts[1], 0xff, part_bytes);
    size_t row = 0;
    for (size_t k = 0; k < v.chunks; ++k) {
        const uint8_t* weights = v.weights + block * v.block_bytes + v.offsets[k];
        // The next chunk comes from memory meanwhile: no prefetcher foresees lists.
        const size_t bytes = (k + 1 < v.chunks ? v.offsets[k + 1] : v.block_bytes) - v.offsets[k];
        const bool last = k + 1 == v.chunks && block + 1 == v.block_end;
        if (!last && v.pairs == 1) prefetch_listed(v, k + 1 < v.chunks ? k + 1 : 0, weights + bytes);
        const size_t ahead = last || v.pairs == 1 ? 0 : bytes;
        const auto finish = [&](size_t which, const Count& count) __attribute__((always_inline)) {
            uint8_t* const counter = v.counters + which * counter_bytes;
            if (k)
                accumulate(counter, count, v.planes);
            else if (v.starts)
                accumulate(counter, count, v.planes,
                           [&, from = v.starts[which]](int p)
                               __attribute__((always_inline)) { return starts[from >> p & 1]; });
            else
                start(counter, count, v.planes);
        };
        for (size_t i = 0; i < v.pairs; ++i) {
            for (size_t at = ahead * i / v.pairs; at < ahead * (i + 1) / v.pairs; at += 64)
                __builtin_prefetch(weights + bytes + at, 0, 2);
            const uint32_t* begin = v.begins + 4 * (i * v.chunks + k);
            const uint16_t *both = v.entries + begin[0], *first = v.entries + begin[1],
                           *second = v.entries + begin[2], *end = v.entries + begin[3];
            Count shared, one;
            count_list(both, first, weights, &none, &shared);
            count_list(first, second, weights, &shared, &one);
            finish(2 * i, one);
            if (!alone) {
                count_list(second, end, weights, &shared, &one);
                finish(2 * i + 1, one);
            }
            if (k + 1 < v.chunks) continue;
            while (row < v.rows && v.first[row] + v.used_parts <= 2 * (i + 1)) done(row++);
        }
    }
}

// The counters of row r of the answer: the sum of its parts, each a `Bytes` wide piece of a counter.
template <size_t Bytes>
BINARYNET_INLINE void add_parts(const Vertical& v, size_t row, Wide<Bytes>* sum) {
    const size_t counter_bytes = static_cast<size_t>(v.planes) * kWide;
    const uint8_t* counter = v.counters + v.first[row] * counter_bytes;
    for (int p = 0; p < v.planes; ++p) sum[p] = load_word<Wide<Bytes>>(counter + p * kWide);
    for (size_t j = 1; j < v.used_parts; ++j) {
        counter += counter_bytes;
        Wide<Bytes> carry = {};
        for (int p = 0; p < v.planes; ++p)
            carry = add(sum[p], load_word<Wide<Bytes>>(counter + p * kWide + j * Bytes), carry);
    }
}

constexpr int kMostPlanes = 32;

template <size_t Bytes>
void vertical_bits_of(const VerticalBits& v) {
    for (size_t block = v.block_begin; block < v.block_end; ++block) {
        const size_t plane_bytes = v.limit_bytes, at = block * Bytes;
        const size_t exist = v.out_bytes - at < Bytes ? v.out_bytes - at : Bytes;
        const auto flip = load_word<Wide<Bytes>>(v.flip + (v.negated ? v.limit_bytes : 0) + at);
        count_block(v, block, Bytes, [&](size_t r) __attribute__((always_inline)) {
            Wide<Bytes> sum[kMostPlanes];
            add_parts<Bytes>(v, r, sum);
            const size_t table = 4 * (v.classes ? v.classes[r] : 0) + (v.negated ? 2 : 0) + (v.listed[r] & 1);
            const uint8_t* limit = v.limits + table * static_cast<size_t>(v.planes) * plane_bytes + at;
            Wide<Bytes> reached = ~Wide<Bytes>{};
            for (int p = 0; p < v.planes; ++p)
                reached = decided(sum[p], load_word<Wide<Bytes>>(limit + p * plane_bytes), reached);
            reached ^= flip;
            uint8_t* out = v.out + r * v.out_stride + at;
            if (exist == Bytes)
                store_word(out, reached);
            else
                __builtin_memcpy(out, &reached, exist);
        });
    }
}

template <size_t Bytes>
void vertical_i32_of(const VerticalI32& v) {
    for (size_t block = v.block_begin; block < v.block_end; ++block) {
        const size_t begin = block * Bytes * 8;
        const size_t exist = v.channels - begin < Bytes * 8 ? v.channels - begin : Bytes * 8;
        count_block(v, block, Bytes, [&](size_t r) __attribute__((always_inline)) {
            Wide<Bytes> sum[kMostPlanes];
            add_parts<Bytes>(v, r, sum);
            const int32_t* bases = v.bases + (v.classes ? v.classes[r] : 0) * v.base_stride + begin;
            widen_counters(sum, v.planes, exist, bases, 2 * v.listed[r], v.negated, v.stream,
                           v.out + r * v.out_stride + begin);
        });
    }
}

// Outputs of a block: a register's, or half or a quarter of it where parts lie side by side.
template <class Args, class Call>
BINARYNET_INLINE void by_parts(const Args& v, Call&& call) {
    if (v.parts == 1) return call(std::integral_constant<size_t, kWide>{});
    if (v.parts == 2) return call(std::integral_constant<size_t, kWide / 2>{});
    if constexpr (kWide >= 32) call(std::integral_constant<size_t, kWide / 4>{});
}

inline void vertical_bits(const VerticalBits& v) {
    by_parts(v, [&](auto bytes) { vertical_bits_of<bytes>(v); });
}

inline void vertical_i32(const VerticalI32& v) {
    by_parts(v, [&](auto bytes) { vertical_i32_of<bytes>(v); });
}

}  // namespace
}  // namespace binarynet
