// The popcount product that neon.cpp and dotprod.cpp share: its blocks, and what becomes of its sums. They
// differ in how counts are added up. Everything has internal linkage, as in bits.h.
//
// A panel is 16 channels, interleaved by 4 bytes: four vectors of 4 channels × 32 values, whose 32-bit lanes
// are one channel each.
#pragma once

#include <arm_neon.h>

#include "base/bits.h"
#include "contract.h"

namespace binarynet {
namespace {

constexpr size_t kLanes = 16, kUnit = 64;  // channels of a panel, bytes of a unit of it
constexpr int kVectors = 4;                // of a unit

inline __attribute__((always_inline)) uint8x16_t broadcast4(const uint8_t* from) {
    uint32_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return vreinterpretq_u8_u32(vdupq_n_u32(value));
}

// Bit i = whether lane i is all ones; the others are all zeros.
inline uint16_t bits_of(uint8x16_t lanes) {
    const uint8x16_t place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t sum = vandq_u8(lanes, place);
    for (int i = 0; i < 3; ++i) sum = vpaddq_u8(sum, sum);
    return vgetq_lane_u16(vreinterpretq_u16_u8(sum), 0);
}

inline uint16_t bits_of(const uint32x4_t (&lanes)[kVectors]) {
    const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(lanes[0]), vreinterpretq_u16_u32(lanes[1]));
    const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(lanes[2]), vreinterpretq_u16_u32(lanes[3]));
    return bits_of(vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high)));
}

inline const int32_t* terms_of(const Gemm& g, size_t row, size_t panel) {
    return g.terms + (g.classes ? g.classes[row] * g.term_stride : 0) + panel * kLanes;
}

// The sums of one row and one panel.
inline void store(const GemmBits& g, size_t row, size_t panel, const uint32x4_t* sum) {
    const int32_t* limits = terms_of(g, row, panel);
    uint32x4_t reached[kVectors];
    for (int v = 0; v < kVectors; ++v)
        reached[v] = vcleq_s32(vreinterpretq_s32_u32(sum[v]), vld1q_s32(limits + 4 * v));
    uint16_t flip;
    __builtin_memcpy(&flip, g.flip + panel * 2, 2);
    const uint16_t bits = static_cast<uint16_t>(bits_of(reached) ^ flip);
    __builtin_memcpy(g.out + row * g.out_stride + panel * 2, &bits, 2);
}

inline void store(const GemmI32& g, size_t row, size_t panel, const uint32x4_t* sum) {
    const int32_t* bases = terms_of(g, row, panel);
    int32_t* const out = g.out + row * g.out_stride + panel * kLanes;
    const size_t left = g.channels - panel * kLanes;
    int32_t part[kLanes];
    int32_t* const target = left < kLanes ? part : out;
    for (int v = 0; v < kVectors; ++v)
        vst1q_s32(target + 4 * v, vsubq_s32(vld1q_s32(bases + 4 * v),
                                            vreinterpretq_s32_u32(vshlq_u32(sum[v], vdupq_n_s32(g.shift)))));
    if (left < kLanes) __builtin_memcpy(out, part, left * sizeof(int32_t));
}

// R rows × P panels. Count::add<R, V>(a, w, panel_bytes, units, sum) adds the popcounts of one plane.
template <class Count, int R, int P, class Args>
__attribute__((noinline)) void block(const Args& g, size_t row, size_t panel) {
    const size_t panel_bytes = g.units * kUnit;
    uint32x4_t sum[R][P * kVectors];
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) {
        BINARYNET_UNROLL
        for (int v = 0; v < P * kVectors; ++v) sum[r][v] = vdupq_n_u32(0);
    }
    for (int n = g.planes - 1; n >= 0; --n) {  // Horner's rule over the planes
        const uint8_t* a[R];
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            a[r] = reinterpret_cast<const uint8_t*>(g.rows + (row + static_cast<size_t>(r)) * g.row_stride +
                                                    static_cast<size_t>(n) * g.words);
            BINARYNET_UNROLL
            for (int v = 0; v < P * kVectors; ++v) sum[r][v] = vaddq_u32(sum[r][v], sum[r][v]);
        }
        Count::add(a, g.panels + panel * panel_bytes, panel_bytes, g.units, sum);
    }
    for (int r = 0; r < R; ++r)
        for (int p = 0; p < P; ++p)
            store(g, row + static_cast<size_t>(r), panel + static_cast<size_t>(p), sum[r] + p * kVectors);
}

// One or two panels stay in L1 while rows [row, row_count) stream past them: 16 sums of 32 registers.
template <class Count, int P, class Args>
void stream(const Args& g, size_t row, size_t panel) {
    constexpr int R = 4 / P;
    for (; row + R <= g.row_count; row += R) block<Count, R, P>(g, row, panel);
    for (; row < g.row_count; ++row) block<Count, 1, P>(g, row, panel);
}

template <class Count, class Args>
void count_rows(const Args& g, size_t row) {
    size_t panel = g.panel_begin;
    for (; panel + 2 <= g.panel_end; panel += 2) stream<Count, 2>(g, row, panel);
    if (panel < g.panel_end) stream<Count, 1>(g, row, panel);
}

}  // namespace
}  // namespace binarynet
