// Bit-sliced counters made into numbers, for the vertical kernels: digit p of all of them is one vector, and
// the answers are 32 bits each. Digits become bytes first, of which eight are added at once. Everything has
// internal linkage, as in bits.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <type_traits>

#include "lists.h"

namespace binarynet {
namespace {

#if defined(__AVX512BW__)
// So many digits count at most 2^14, and 2^14 > 3/2 of the depth; then |4 c − less| ≤ 2 · depth fits 16 bits.
constexpr int kShortPlanes = 14;

typedef uint64_t Eight __attribute__((vector_size(64)));

// Byte 8 i + 7 − n is byte i' of digit n: eights of channels in the order i → i' in which unpacking leaves
// them one behind the other, and digits as the rows that vgf2p8affineqb takes.
struct ByEights {
    alignas(64) uint8_t of[64];
    constexpr ByEights() : of() {
        constexpr int kOrder[] = {0, 4, 1, 5, 2, 6, 3, 7};
        for (int i = 0; i < 8; ++i)
            for (int n = 0; n < 8; ++n) of[8 * i + 7 - n] = static_cast<uint8_t>(8 * n + kOrder[i]);
    }
};
constexpr ByEights by_eights;

// Digits [begin, end) of 512 channels, at most eight → those of each 64 channels, one in 64 bits.
BINARYNET_INLINE void by_channels(const uint8_t* digits, int begin, int end, Eight (&out)[8]) {
    Eight d[8] = {}, t[8];
    BINARYNET_UNROLL
    for (int p = 0; p < 8; ++p)
        if (begin + p < end) __builtin_memcpy(&d[p], digits + (begin + p) * 64, 64);
    BINARYNET_UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = __builtin_shufflevector(d[i], d[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        t[i + 1] = __builtin_shufflevector(d[i], d[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    BINARYNET_UNROLL
    for (int i = 0; i < 2; ++i) {
        const auto even = [](Eight a, Eight b) {
            return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13);
        };
        const auto odd = [](Eight a, Eight b) {
            return __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
        };
        const Eight a = even(t[i], t[i + 2]), b = even(t[i + 4], t[i + 6]);
        const Eight c = odd(t[i], t[i + 2]), e = odd(t[i + 4], t[i + 6]);
        out[i] = even(a, b);
        out[i + 4] = odd(a, b);
        out[i + 2] = even(c, e);
        out[i + 6] = odd(c, e);
    }
}

// 64 channels, their low and high digits in 64 bits each → numbers.
template <bool Stream>
BINARYNET_INLINE void widen_64(Eight low_digits, Eight high_digits, const int32_t* bases, int32_t less,
                               bool negated, int32_t* out) {
    const __m512i order = _mm512_load_si512(by_eights.of);
    const __m512i columns = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201));
    const auto bytes = [&](Eight digits) {
        return _mm512_gf2p8affine_epi64_epi8(
            columns, _mm512_maskz_permutexvar_epi8(~uint64_t{0}, order, (__m512i)digits), 0);
    };
    const __m512i low = bytes(low_digits), high = bytes(high_digits);
    const __m512i minus = _mm512_set1_epi16(static_cast<short>(less));
    const auto words = [&](__m512i counts, size_t first) {
        const __m512i four = _mm512_slli_epi16(counts, 2);
        const __m512i sums = negated ? _mm512_sub_epi16(minus, four) : _mm512_sub_epi16(four, minus);
        const auto numbers = [&](__m256i half, size_t at) {
            const __m512i base = _mm512_loadu_si512(bases + at);
            const __m512i wide = _mm512_maskz_cvtepi16_epi32(0xffff, half);
            const __m512i acc = negated ? _mm512_sub_epi32(wide, base) : _mm512_add_epi32(wide, base);
            if constexpr (Stream)
                _mm512_stream_si512(reinterpret_cast<__m512i*>(out + at), acc);
            else
                _mm512_storeu_si512(out + at, acc);
        };
        const auto parts = (Eight)sums;
        numbers((__m256i)__builtin_shufflevector(parts, parts, 0, 1, 2, 3), first);
        numbers((__m256i)__builtin_shufflevector(parts, parts, 4, 5, 6, 7), first + 16);
    };
    words(_mm512_maskz_unpacklo_epi8(~uint64_t{0}, low, high), 0);
    words(_mm512_maskz_unpackhi_epi8(~uint64_t{0}, low, high), 32);
}
#endif

#if !defined(__AVX512F__)
// Bit i of a number → byte i.
struct Spread {
    uint64_t of[256] = {};
    constexpr Spread() {
        for (uint64_t bits = 0; bits < 256; ++bits)
            for (int i = 0; i < 8; ++i) of[bits] |= (bits >> i & 1) << 8 * i;
    }
};
constexpr Spread spread;
#endif

// counters of `exist` channels → out = 4 c − less + bases
template <class W>
BINARYNET_INLINE void widen_counters(const W* sum, int planes, size_t exist, const int32_t* bases,
                                     int32_t less, bool negated, bool stream, int32_t* out) {
    constexpr size_t kGroup = 16;
    size_t c = 0;
#if defined(__AVX512BW__)
    if (planes <= kShortPlanes && sizeof(W) == 64 && exist >= 64) {
        const auto* digits = reinterpret_cast<const uint8_t*>(sum);
        const bool lines = stream && reinterpret_cast<uintptr_t>(out) % kWide == 0;  // only whole ones
        Eight low[8], high[8];
        by_channels(digits, 0, 8, low);
        by_channels(digits, 8, planes, high);
        // All at once from registers: a load that shares its last 12 bits with a store past the caches waits
        // until that has left.
        const auto whole = [&](auto stream) __attribute__((always_inline)) {
            BINARYNET_UNROLL
            for (size_t g = 0; g < 8; ++g)
                widen_64<decltype(stream)::value>(low[g], high[g], bases + 64 * g, less, negated,
                                                  out + 64 * g);
        };
        if (exist >= 512) {
            c = 512;
            if (lines)
                whole(std::true_type{});
            else
                whole(std::false_type{});
        }
        for (; c + 64 <= exist; c += 64)
            if (lines)
                widen_64<true>(low[c / 64], high[c / 64], bases + c, less, negated, out + c);
            else
                widen_64<false>(low[c / 64], high[c / 64], bases + c, less, negated, out + c);
    } else if (planes <= kShortPlanes) {
        const auto* digits = reinterpret_cast<const uint8_t*>(sum);
        for (; c + 64 <= exist; c += 64) {
            __m512i parts[2] = {};
            for (int p = 0; p < planes; ++p) {
                long long bits;
                __builtin_memcpy(&bits, digits + static_cast<size_t>(p) * sizeof(W) + c / 8, sizeof bits);
                parts[p / 8] = _mm512_mask_set1_epi64(parts[p / 8], static_cast<__mmask8>(1 << p % 8), bits);
            }
            widen_64<false>((Eight)parts[0], (Eight)parts[1], bases + c, less, negated, out + c);
        }
    }
#endif
    (void)stream;
    for (; c < exist; c += kGroup) {
        const size_t lanes = exist - c < kGroup ? exist - c : kGroup;
#if defined(__AVX512F__)
        const __mmask16 here = static_cast<__mmask16>((1u << lanes) - 1);
        __m512i acc = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(here, bases + c), _mm512_set1_epi32(less));
        for (int p = 0; p < planes; ++p) {
            uint16_t bits;
            __builtin_memcpy(&bits, reinterpret_cast<const uint8_t*>(sum + p) + c / 8, 2);
            acc = _mm512_mask_add_epi32(acc, bits, acc, _mm512_set1_epi32(4 << p));
        }
        if (negated) acc = _mm512_sub_epi32(_mm512_setzero_si512(), acc);
        _mm512_mask_storeu_epi32(out + c, here, acc);
#else
        int32_t acc[kGroup] = {};
        if (planes <= 16) {
            // Eight outputs are eight bytes: their digit is spread over them, and moved to its place.
            typedef uint8_t Bytes __attribute__((vector_size(8)));
            typedef int32_t Numbers __attribute__((vector_size(32)));
            for (size_t half = 0; half < 2; ++half) {
                const uint8_t* digits = reinterpret_cast<const uint8_t*>(sum) + c / 8 + half;
                uint64_t low = 0, high = 0;
                for (int p = 0; p < 8; ++p, digits += sizeof(W)) low |= spread.of[*digits] << p;
                for (int p = 8; p < planes; ++p, digits += sizeof(W)) high |= spread.of[*digits] << (p - 8);
                const Numbers numbers = __builtin_convertvector((Bytes)low, Numbers) |
                                        __builtin_convertvector((Bytes)high, Numbers) << 8;
                __builtin_memcpy(acc + 8 * half, &numbers, sizeof numbers);
            }
        } else {
            for (int p = 0; p < planes; ++p) {
                uint16_t bits;
                __builtin_memcpy(&bits, reinterpret_cast<const uint8_t*>(sum + p) + c / 8, 2);
                for (size_t i = 0; i < kGroup; ++i) acc[i] += (bits >> i & 1) << p;
            }
        }
        for (size_t i = 0; i < lanes; ++i) {
            const int32_t sum_of_signs = 4 * acc[i] - less + bases[c + i];
            out[c + i] = negated ? -sum_of_signs : sum_of_signs;
        }
#endif
    }
}

}  // namespace
}  // namespace binarynet
