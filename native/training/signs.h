// The signs of a convolution's weights: one bit each, expanded where they are multiplied. Only for files
// compiled for AMX.
#pragma once

#include "base/threads.h"
#include "products.h"
#include "tiles.h"

namespace binarynet::training {

// sign(w) → bits (block of filters, block of channels, tap, filter): 32 channels of a filter in a word.
inline bool pack_signs(const ConvShape& s, const float* w, uint32_t* signs, int threads) {
    const size_t taps = s.kernel_height * s.kernel_width, steps = blocks(s.channels);
    std::vector<uint8_t> unordered(blocks(s.filters));
    const __m512i apart =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32(static_cast<int>(taps)));
    parallel_for(blocks(s.filters), threads, [&](size_t block, int) {
        const __m512 zero = _mm512_setzero_ps();
        __mmask16 nan = 0;
        for (size_t f = 0; f < kBlock; ++f)
            for (size_t k = 0; k < steps; ++k) {
                uint32_t* to = signs + (block * steps + k) * taps * kBlock + f;
                const float* from = w + ((block * kBlock + f) * s.channels + k * kBlock) * taps;
                const size_t filter = block * kBlock + f, left = s.channels - k * kBlock;
                const __mmask16 low = filter < s.filters ? first(left) : __mmask16{0};
                const __mmask16 high =
                    filter < s.filters && left > kHalf ? first(left - kHalf) : __mmask16{0};
                for (size_t tap = 0; tap < taps; ++tap, ++from, to += kBlock) {
                    const __m512 a = _mm512_mask_i32gather_ps(zero, low, apart, from, 4);
                    const __m512 b = _mm512_mask_i32gather_ps(zero, high, apart, from + kHalf * taps, 4);
                    nan |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
                    *to = _mm512_cmp_ps_mask(a, zero, _CMP_GE_OQ) |
                          uint32_t{_mm512_cmp_ps_mask(b, zero, _CMP_GE_OQ)} << 16;
                }
            }
        unordered[block] = nan != 0;
    });
    for (const uint8_t one : unordered)
        if (one) return false;
    return true;
}

// Bits of 32 filters × 32 channels → a right step, whose columns are the filters and whose depth the
// channels. A lane holds the bits of a filter; its lowest four choose one of 16 entries, of which bfloat16
// needs two.
inline void expand_filters(const uint32_t* bits, uint8_t* to) {
    constexpr int16_t kPlus = 0x3f80, kMinus = static_cast<int16_t>(0xbf80);
    const __m512i ones =
        _mm512_broadcast_i32x4(_mm_setr_epi16(kMinus, kMinus, kPlus, kMinus, kMinus, kPlus, kPlus, kPlus));
    for (size_t half = 0; half < 2; ++half) {
        __m512i lanes = _mm512_loadu_si512(bits + half * kHalf);
        for (size_t pair = 0; pair < kHalf; ++pair, to += kLine, lanes = _mm512_srli_epi32(lanes, 2))
            _mm512_store_si512(to, _mm512_permutexvar_epi32(lanes, ones));
    }
}

// The same as bytes, of 64 channels, whose bits stand in two blocks.
inline void expand_filters(const uint32_t* bits, const uint32_t* other_bits, uint8_t* to) {
    alignas(64) static constexpr int8_t kOnes[16][4] = {
        {-1, -1, -1, -1}, {1, -1, -1, -1}, {-1, 1, -1, -1}, {1, 1, -1, -1}, {-1, -1, 1, -1}, {1, -1, 1, -1},
        {-1, 1, 1, -1},   {1, 1, 1, -1},   {-1, -1, -1, 1}, {1, -1, -1, 1}, {-1, 1, -1, 1},  {1, 1, -1, 1},
        {-1, -1, 1, 1},   {1, -1, 1, 1},   {-1, 1, 1, 1},   {1, 1, 1, 1}};
    const __m512i ones = _mm512_load_si512(kOnes);
    for (size_t half = 0; half < 2; ++half)
        for (const uint32_t* block : {bits, other_bits}) {
            __m512i lanes = _mm512_loadu_si512(block + half * kHalf);
            for (size_t four = 0; four < 8; ++four, to += kLine, lanes = _mm512_srli_epi32(lanes, 4))
                _mm512_store_si512(to, _mm512_permutexvar_epi32(lanes, ones));
        }
}

// The same with the channels as columns and the filters as depth.
inline void expand_channels(const uint32_t* bits, uint8_t* to) {
    for (size_t pair = 0; pair < kHalf; ++pair, to += kLine) {
        const uint32_t even = bits[2 * pair], odd = bits[2 * pair + 1];
        _mm512_store_si512(to, ones(side_by_side(even, odd)));
        _mm512_store_si512(to + kTile, ones(side_by_side(even >> kHalf, odd >> kHalf)));
    }
}

}  // namespace binarynet::training
