// Which inputs of two rows are set, in lists, for the vertical kernels: one piece of C++ for all instruction
// sets, as vertical.h. Everything has internal linkage.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "contract.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace binarynet {
namespace {

#define BINARYNET_INLINE inline __attribute__((always_inline))

// Bytes of a word of weights: a register.
#if defined(__AVX512F__)
constexpr size_t kWide = 64;
#elif defined(__AVX2__)
constexpr size_t kWide = 32;
#else
constexpr size_t kWide = 16;
#endif

// The set bits of words → entries.
BINARYNET_INLINE uint16_t* list_words(uint64_t bits, size_t first, uint16_t* to) {
    constexpr size_t kScale = kWide / 8;
#if defined(__AVX512VBMI2__)
    // The places of the bits as bytes, packed, then as 16 bits each.
    alignas(64) static constexpr auto kOrder = [] {
        struct {
            uint8_t of[64];
        } order{};
        for (size_t i = 0; i < 64; ++i) order.of[i] = static_cast<uint8_t>(i);
        return order;
    }();
    static_assert(kScale == 8);
    constexpr __mmask32 kAll = ~uint32_t{0};  // GCC 12 warns of what plain intrinsics leave undefined
    const __m512i places = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(kOrder.of));
    const __m512i base = _mm512_set1_epi16(static_cast<short>(first * kScale));
    const auto entries = [&](auto half) {
        const __m512i wide = _mm512_maskz_cvtepu8_epi16(kAll, (__m256i)half);
        return _mm512_add_epi16(base, _mm512_slli_epi16(wide, 3));
    };
    _mm512_storeu_si512(to, entries(__builtin_shufflevector(places, places, 0, 1, 2, 3)));
    const int count = __builtin_popcountll(bits);
    if (count > 32)
        _mm512_storeu_si512(to + 32, entries(__builtin_shufflevector(places, places, 4, 5, 6, 7)));
    to += count;
#else
    for (; bits; bits &= bits - 1)
        *to++ = static_cast<uint16_t>((first + static_cast<size_t>(__builtin_ctzll(bits))) * kScale);
#endif
    return to;
}

inline void list_pair(const ListPair& l) {
    uint16_t* to = l.entries;
    const auto list = [&](int which, auto&& chosen) {
        uint16_t* const begin = to;
        l.begins[which] = static_cast<uint32_t>(begin - l.origin);
        for (size_t k = 0; k < l.words; ++k) {
            const uint64_t flip = k + 1 < l.words ? l.flip : l.last_flip;
            to = list_words(chosen(l.a[k] ^ flip, l.b[k] ^ flip), l.first + 64 * k, to);
        }
        l.counts[which] = static_cast<uint32_t>(to - begin);
        if (!l.filled) return;
        for (size_t i = 0; i < kListUnit; ++i) to[i] = l.fill;
        to = begin + (l.counts[which] + kListUnit - 1) / kListUnit * kListUnit;
    };
    list(0, [](uint64_t a, uint64_t b) { return a & b; });
    list(1, [](uint64_t a, uint64_t b) { return a & ~b; });
    list(2, [](uint64_t a, uint64_t b) { return ~a & b; });
    l.begins[3] = static_cast<uint32_t>(to - l.origin);
}

}  // namespace
}  // namespace binarynet
