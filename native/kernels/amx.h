// What the files of the matrix unit share: tile registers, weights as bytes, sums to answers. All with
// internal linkage, as in bits.h. amx.cpp says how it works.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "base/bits.h"
#include "base/tiles.h"
#include "contract.h"

namespace binarynet {
namespace {

constexpr size_t kLanes = 16, kVector = kLine, kStripRows = 2 * kTileRows;
constexpr size_t kMaxSteps = 12;   // of a block of depth
constexpr size_t kMostSteps = 18;  // of a depth that is one block

inline size_t steps_per_block(size_t steps) {
    const size_t blocks = steps <= kMostSteps ? 1 : (steps + kMaxSteps - 1) / kMaxSteps;
    return (steps + blocks - 1) / blocks;
}

// For masked intrinsics in the place of plain ones, whose undefined operand GCC 12 warns about (bug 105593).
constexpr __mmask64 kAll = ~uint64_t{0};

struct Order {
    alignas(64) uint8_t values[64];     // byte 32 h + 4 n + q of a step is value 32 h + 8 q + n
    alignas(64) uint8_t transpose[64];  // byte 8 i + 7 − n is byte i of plane n

    constexpr Order() : values(), transpose() {
        for (int h = 0; h < 2; ++h)
            for (int n = 0; n < 8; ++n)
                for (int q = 0; q < 4; ++q)
                    values[32 * h + 4 * n + q] = static_cast<uint8_t>(32 * h + 8 * q + n);
        for (int i = 0; i < 8; ++i)
            for (int n = 0; n < 8; ++n) transpose[8 * i + 7 - n] = static_cast<uint8_t>(8 * n + i);
    }
};
constexpr Order order;

// Steps [first, first + steps) of P panels → ±1, and their ones are counted.
template <int P>
void expand_weights(const Gemm& g, size_t panel, size_t first, size_t steps, int8_t* out,
                    __m512i (&ones)[P]) {
    const size_t panel_bytes = g.units * kVector, units = std::min(2 * steps, g.units - 2 * first);
    for (size_t u = 0; u < units; ++u) {
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) {
            const uint8_t* from = g.panels + (panel + p) * panel_bytes + (2 * first + u) * kVector;
            const __m512i bits = _mm512_load_si512(from);
            int8_t* to = out + (u / 2 * P + p) * kTile + u % 2 * (kTile / 2);
            BINARYNET_UNROLL
            for (int n = 0; n < 8; ++n)
                _mm512_store_si512(
                    to + n * kVector,
                    _mm512_gf2p8affine_epi64_epi8(bits, _mm512_set1_epi64(0x0001010101010101ll << n), 1));
            ones[p] = _mm512_add_epi32(ones[p], _mm512_popcnt_epi32(bits));
        }
    }
}

// A row of bits may begin at any byte.
typedef __mmask16 __attribute__((aligned(1), may_alias)) Mask16;
typedef __mmask32 __attribute__((aligned(1), may_alias)) Mask32;

// What becomes of the sums of a strip, (rows, P panels, 16), to which `ones` are still to be added.
struct ToBits {
    typedef GemmBits Args;
    static constexpr bool kSpread = false;  // better a few rows at a time than all at once?

    template <int P>
    static inline __attribute__((always_inline)) void store(const GemmBits& g, size_t row, size_t count,
                                                            size_t panel, const __m512i (&ones)[P],
                                                            const int32_t* sums) {
        uint8_t* out = g.out + row * g.out_stride + panel * 2;
        uint32_t flip = 0;
        __builtin_memcpy(&flip, g.flip + panel * 2, 2 * P);
        const __mmask32 flipped = _cvtu32_mask32(flip);
        __m512i limits[P];
        auto take_limits = [&](const int32_t* terms) {
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p)
                limits[p] = _mm512_sub_epi32(_mm512_loadu_si512(terms + (panel + p) * kLanes), ones[p]);
        };
        uint32_t known = g.classes ? g.classes[row] : 0;
        take_limits(g.terms + known * g.term_stride);
        for (size_t r = 0; r < count; ++r, out += g.out_stride, sums += P * kLanes) {
            if (g.classes && g.classes[row + r] != known) {
                known = g.classes[row + r];
                take_limits(g.terms + known * g.term_stride);
            }
            // Masks stay masks: to and from general registers they take two ports and 5 cycles.
            const __mmask16 first = _mm512_cmpge_epi32_mask(limits[0], _mm512_load_si512(sums));
            if (P == 2) {
                const __mmask16 second =
                    _mm512_cmpge_epi32_mask(limits[P - 1], _mm512_load_si512(sums + kLanes));
                *reinterpret_cast<Mask32*>(out) = _kxor_mask32(_mm512_kunpackw(second, first), flipped);
            } else {
                *reinterpret_cast<Mask16*>(out) = _kxor_mask16(first, static_cast<__mmask16>(flip));
            }
        }
    }
};

struct ToI32 {
    typedef GemmI32 Args;
    static constexpr bool kSpread = true;  // stores wait for memory

    template <int P>
    static inline __attribute__((always_inline)) void store(const GemmI32& g, size_t row, size_t count,
                                                            size_t panel, const __m512i (&ones)[P],
                                                            const int32_t* sums) {
        const __m128i shift = _mm_cvtsi32_si128(g.shift);
        const size_t left = g.channels - panel * kLanes;
        int32_t* out = g.out + row * g.out_stride + panel * kLanes;
        // Only whole lines pass the caches.
        const bool stream = g.stream && left >= P * kLanes && g.out_stride % kLanes == 0 &&
                            reinterpret_cast<uintptr_t>(out) % kVector == 0;
        __mmask16 exist[P];
        __m512i bases[P];
        auto take_bases = [&](const int32_t* terms) {
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) {
                const size_t lanes = left - std::min(left, p * kLanes);
                exist[p] = static_cast<__mmask16>(low_bits(std::min(lanes, kLanes)));
                bases[p] = _mm512_sub_epi32(_mm512_loadu_si512(terms + (panel + p) * kLanes),
                                            _mm512_maskz_sll_epi32(exist[p], ones[p], shift));
            }
        };
        uint32_t known = g.classes ? g.classes[row] : 0;
        take_bases(g.terms + known * g.term_stride);
        for (size_t r = 0; r < count; ++r, out += g.out_stride, sums += P * kLanes) {
            if (g.classes && g.classes[row + r] != known) {
                known = g.classes[row + r];
                take_bases(g.terms + known * g.term_stride);
            }
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) {
                const __m512i sum = _mm512_load_si512(sums + p * kLanes);
                const __m512i acc = _mm512_sub_epi32(bases[p], _mm512_maskz_sll_epi32(exist[p], sum, shift));
                if (stream)
                    _mm512_stream_si512(reinterpret_cast<__m512i*>(out + p * kLanes), acc);
                else
                    _mm512_mask_storeu_epi32(out + p * kLanes, exist[p], acc);
            }
        }
    }
};

// A strip's sums, one 64-byte row per tile row and panel, from or into tiles 0 … 3.
template <int P>
inline __attribute__((always_inline)) void load_sums(const int32_t* sums, size_t height) {
    const int32_t* lower = sums + height * P * kLanes;
    _tile_loadd(0, sums, P * kVector);
    _tile_loadd(1, lower, P * kVector);
    if (P == 1) return;
    _tile_loadd(2, sums + kLanes, P * kVector);
    _tile_loadd(3, lower + kLanes, P * kVector);
}

template <int P>
inline __attribute__((always_inline)) void store_sums(int32_t* sums, size_t height) {
    int32_t* lower = sums + height * P * kLanes;
    _tile_stored(0, sums, P * kVector);
    _tile_stored(1, lower, P * kVector);
    if (P == 1) return;
    _tile_stored(2, sums + kLanes, P * kVector);
    _tile_stored(3, lower + kLanes, P * kVector);
}

}  // namespace
}  // namespace binarynet
