// Bit-sliced counters made into numbers, for the vertical kernels: digit p of all of them is one vector, and
// the answers are 32 bits each. Digits become bytes first, of which eight are added at once. Everything has
// internal linkage, as in bits.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lists.h"

namespace binarynet {
namespace {

#if defined(__AVX512BW__)
// So many digits count at most 2^14, and 2^14 > 3/2 of the depth; then |4 c − less| ≤ 2 · depth fits 16 bits.
constexpr int kShortPlanes = 14;

// The next 64 channels, all there: digits become bytes, eight at a time, by one masked addition each.
template <bool Stream>
BINARYNET_INLINE void widen_64(const uint8_t* digits, size_t step, int planes, const int32_t* bases,
                               int32_t less, bool negated, int32_t* out) {
    const auto byte = [&](int begin, int end) {
        __m512i sum = _mm512_setzero_si512();
        for (int p = begin; p < end; ++p) {
            uint64_t bits;
            __builtin_memcpy(&bits, digits + static_cast<size_t>(p) * step, sizeof bits);
            sum = _mm512_mask_add_epi8(sum, bits, sum, _mm512_set1_epi8(static_cast<char>(1 << (p - begin))));
        }
        // Eights of channels in the order in which unpacking leaves them one behind the other.
        return _mm512_maskz_permutexvar_epi64(0xff, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), sum);
    };
    const __m512i low = byte(0, 8), high = byte(8, planes);
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
        typedef uint64_t Lanes __attribute__((vector_size(64)));
        const auto parts = (Lanes)sums;
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
    if (planes <= kShortPlanes) {
        const auto* digits = reinterpret_cast<const uint8_t*>(sum);
        const bool lines = stream && reinterpret_cast<uintptr_t>(out) % kWide == 0;  // only whole ones
        for (; c + 64 <= exist; c += 64)
            if (lines)
                widen_64<true>(digits + c / 8, sizeof(W), planes, bases + c, less, negated, out + c);
            else
                widen_64<false>(digits + c / 8, sizeof(W), planes, bases + c, less, negated, out + c);
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
            typedef uint8_t Eight __attribute__((vector_size(8)));
            typedef int32_t Numbers __attribute__((vector_size(32)));
            for (size_t half = 0; half < 2; ++half) {
                const uint8_t* digits = reinterpret_cast<const uint8_t*>(sum) + c / 8 + half;
                uint64_t low = 0, high = 0;
                for (int p = 0; p < 8; ++p, digits += sizeof(W)) low |= spread.of[*digits] << p;
                for (int p = 8; p < planes; ++p, digits += sizeof(W)) high |= spread.of[*digits] << (p - 8);
                const Numbers numbers = __builtin_convertvector((Eight)low, Numbers) |
                                        __builtin_convertvector((Eight)high, Numbers) << 8;
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
