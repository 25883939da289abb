// What the convolutions ask of the matrix unit: strips of 32 rows × 32 columns, one after the other. Only for
// files compiled for AMX.
//
// The matrix unit needs 4 KB of operands each 64 cycles, which L1 delivers and L2 hardly. So strips are
// worked on in *passes* of 8 or 9 steps of the depth, whose operands stay in L1, and sums of unfinished depth
// wait in L2.
#pragma once

#include <type_traits>

#include "tiles.h"

namespace binarynet::training {

// What the matrix unit multiplies. Tiles are numbers in the code of an instruction, hence a macro.
struct Bfloat16 {
    static constexpr size_t kDepth = 32;  // of a step
    static constexpr bool kBytes = false;
};
struct Bytes {
    static constexpr size_t kDepth = 64;
    static constexpr bool kBytes = true;
};
// Left bytes without a sign: codes.
struct Codewords {
    static constexpr size_t kDepth = 64;
    static constexpr bool kBytes = true;
};
#define BINARYNET_MULTIPLY(Unit, sums, left, right) \
    if constexpr (std::is_same_v<Unit, Codewords>)  \
        _tile_dpbusd(sums, left, right);            \
    else if constexpr (Unit::kBytes)                \
        _tile_dpbssd(sums, left, right);            \
    else                                            \
        _tile_dpbf16ps(sums, left, right)

// Two tiles of rows, two of columns, and where their sums are: (tile of columns, tile of rows, row, 16). They
// are integers of 32 bits if the operands are bytes.
struct TileStrip {
    const uint8_t *left[2], *right[2];
    float* sums;
};

// The sums of each strip = or += Σ of the steps, which are `left_at` and `right_at` bytes from their tiles.
// While the matrix unit works on a strip, the sums of the next are fetched, for which it would wait; and they
// come in one tile after the other, as those of this strip leave.
template <class Unit>
void accumulate(const TileStrip* strips, size_t count, const Offsets& left_at, const Offsets& right_at,
                bool add) {
    constexpr size_t kFetch = 8;  // lines a step: 64 in 8 steps
    constexpr size_t kSum = kHalf * kHalf;
    if (!count) return;
    fence(strips);
    if (add) {
        _tile_loadd(0, strips->sums, kLine);
        _tile_loadd(1, strips->sums + kSum, kLine);
        _tile_loadd(2, strips->sums + 2 * kSum, kLine);
        _tile_loadd(3, strips->sums + 3 * kSum, kLine);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t i = 0; i < count; ++i) {
        const TileStrip &strip = strips[i], &next = strips[(i + 1) % count];
        for (size_t k = 0; k < left_at.size(); ++k) {
            _tile_loadd(4, strip.left[0] + left_at[k], kLine);
            _tile_loadd(6, strip.right[0] + right_at[k], kLine);
            BINARYNET_MULTIPLY(Unit, 0, 4, 6);
            for (size_t line = 0; line < kFetch; ++line)
                _mm_prefetch(next.sums + (k * kFetch + line) * kHalf, _MM_HINT_T0);
            _tile_loadd(5, strip.left[1] + left_at[k], kLine);
            BINARYNET_MULTIPLY(Unit, 1, 5, 6);
            _tile_loadd(7, strip.right[1] + right_at[k], kLine);
            BINARYNET_MULTIPLY(Unit, 2, 4, 7);
            BINARYNET_MULTIPLY(Unit, 3, 5, 7);
        }
        if (add) {
            _tile_stored(0, strip.sums, kLine);
            _tile_loadd(0, next.sums, kLine);
            _tile_stored(1, strip.sums + kSum, kLine);
            _tile_loadd(1, next.sums + kSum, kLine);
            _tile_stored(2, strip.sums + 2 * kSum, kLine);
            _tile_loadd(2, next.sums + 2 * kSum, kLine);
            _tile_stored(3, strip.sums + 3 * kSum, kLine);
            _tile_loadd(3, next.sums + 3 * kSum, kLine);
        } else {
            _tile_stored(0, strip.sums, kLine);
            _tile_zero(0);
            _tile_stored(1, strip.sums + kSum, kLine);
            _tile_zero(1);
            _tile_stored(2, strip.sums + 2 * kSum, kLine);
            _tile_zero(2);
            _tile_stored(3, strip.sums + 3 * kSum, kLine);
            _tile_zero(3);
        }
    }
    fence(strips);
}

}  // namespace binarynet::training
