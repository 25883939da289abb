// Tiles (base/tiles.h) of bfloat16, and how operands come into them. Only for files compiled for AMX.
//
//     sums (16 × 16 float32)  +=  left (16 rows of 32 along the depth)  ·  right (16 pairs of depth × 16
//     columns × 2)
//
//     instruction                latency  per 4 tiles = 32 rows × 32 columns × 32 of depth
//     tdpbf16ps tmm, tmm, tmm      52     4, each one cycle a row: 64 cycles
//     tileloadd tmm, m512×16        –     4: 32 cycles from L1, some 80 from L2
//
// A *block* is two tiles of an operand: 32 rows, or 32 columns, 2 KB for 32 of depth (a step). Packed
// operands are (block, piece, step, tile, 16, 64 bytes).
#pragma once

#include <immintrin.h>

#include <array>
#include <cstring>
#include <vector>

#include "base/tiles.h"

namespace binarynet::training {

constexpr size_t kStep = 2 * kTile, kBlock = 32, kHalf = kTileRows;
constexpr __mmask16 kAll = 0xffff;

inline size_t blocks(size_t count) {
    return (count + kBlock - 1) / kBlock;
}

// The first `count` of 16 lanes.
inline __mmask16 first(size_t count) {
    return count >= kHalf ? kAll : static_cast<__mmask16>((1u << count) - 1);
}

// Where the steps of an operand are, in bytes from its block.
using Offsets = std::vector<size_t>;

// sums (32 × 32, row-major) = or += left block · right block.
inline void multiply(const uint8_t* left, size_t stride, const Offsets& left_at, const uint8_t* right,
                     const Offsets& right_at, size_t from, size_t to, bool add, float* sums) {
    constexpr size_t kRow = kBlock * sizeof(float);
    float* lower = sums + kHalf * kBlock;
    fence(left);
    if (add) {
        _tile_loadd(0, sums, kRow);
        _tile_loadd(1, lower, kRow);
        _tile_loadd(2, sums + kHalf, kRow);
        _tile_loadd(3, lower + kHalf, kRow);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t k = from; k < to; ++k) {
        const uint8_t *a = left + left_at[k], *b = right + right_at[k];
        _tile_loadd(4, a, stride);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, a + kHalf * stride, stride);
        _tile_dpbf16ps(1, 5, 6);
        _tile_loadd(7, b + kTile, 64);
        _tile_dpbf16ps(2, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, kRow);
    _tile_stored(1, lower, kRow);
    _tile_stored(2, sums + kHalf, kRow);
    _tile_stored(3, lower + kHalf, kRow);
    fence(sums);
}

constexpr uint16_t kOne = 0x3f80, kSignBit = 0x8000;  // of bfloat16

inline __m512i ones(__mmask32 positive) {
    const __m512i one = _mm512_set1_epi16(kOne);
    return _mm512_mask_mov_epi16(_mm512_or_si512(one, _mm512_set1_epi16(static_cast<short>(kSignBit))),
                                 positive, one);
}

// Bits of two rows, one beside the other: (a0, b0, a1, b1, …), 16 of each.
inline uint32_t side_by_side(uint32_t a, uint32_t b) {
    return _pdep_u32(a, 0x55555555) | _pdep_u32(b, 0xaaaaaaaa);
}

inline __m256i to_bf16(__m512 x) {
    return (__m256i)_mm512_cvtneps_pbh(x);
}
inline __m512 from_bf16(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

// The next piece of x, which is taken away from it.
inline __m256i take_piece(__m512& x) {
    const __m256i piece = to_bf16(x);
    x = _mm512_sub_ps(x, from_bf16(piece));
    return piece;
}

// Of two operands in pieces: whether the product of pieces p and q is above what the finer operand leaves
// out.
inline bool matters(int p, int q, int p_pieces, int q_pieces) {
    return p + q < (p_pieces > q_pieces ? p_pieces : q_pieces);
}

inline __m512 load(const float* from, __mmask16 mask) {
    return from ? _mm512_maskz_loadu_ps(mask, from) : _mm512_setzero_ps();
}

// (a0, b0, a1, b1, …)
inline __m512i interleave(__m256i a, __m256i b) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

// Rows ↔ columns of 16 × 16 numbers of 32 bits.
inline void transpose(__m512 (&r)[16]) {
    __m512 t[16];
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 2; ++j) {
            const __m512d a = _mm512_castps_pd(t[4 * i + j]), b = _mm512_castps_pd(t[4 * i + j + 2]);
            r[4 * i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[4 * i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    for (int j = 0; j < 4; ++j) {  // r[4 i + j]: column 4 l + j of rows 4 i … 4 i + 3 in its 128-bit lane l
        t[j] = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88);
        t[4 + j] = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
        t[8 + j] = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
        t[12 + j] = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
    }
    for (int j = 0; j < 4; ++j) {
        r[j] = _mm512_shuffle_f32x4(t[j], t[4 + j], 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(t[j], t[4 + j], 0xdd);
        r[4 + j] = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0x88);
        r[12 + j] = _mm512_shuffle_f32x4(t[8 + j], t[12 + j], 0xdd);
    }
}

// Memory that stays with the thread that calls, and grows to what it needed most.
enum class Use { kLeft, kRight, kSums, kWindows, kCount };
inline uint8_t* workspace(Use use, size_t bytes) {
    thread_local std::array<Buffer, static_cast<size_t>(Use::kCount)> buffers;
    Buffer& buffer = buffers[static_cast<size_t>(use)];
    if (buffer.bytes() < bytes) {
        buffer = Buffer();
        buffer = Buffer(bytes);
    }
    return buffer.as<uint8_t>();
}

}  // namespace binarynet::training
