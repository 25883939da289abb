// Kernels that are one piece of C++ for all instruction sets: each file of native/kernels includes this and
// compiles it with its own flags. Vectors of 16 are the compiler's (GCC and Clang vector extensions): one
// register with AVX-512, two with AVX2, four with SSE or NEON. Everything has internal linkage, as in bits.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../kernels.h"

namespace binarynet {
namespace {

typedef float Real16 __attribute__((vector_size(64), aligned(4)));
typedef int8_t Byte16 __attribute__((vector_size(16), aligned(1)));

inline __attribute__((always_inline)) void load(const float* from, Real16& to) {
    __builtin_memcpy(&to, from, sizeof to);
}
inline __attribute__((always_inline)) void load(const int8_t* from, Real16& to) {
    Byte16 bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    to = __builtin_convertvector(bytes, Real16);
}

// Sums of a block are finished before they join those of the blocks before it, so that the error of a sum of
// n numbers grows with n / kRealBlock, not with n.
constexpr size_t kRealBlock = 512;

template <int R, typename W>
void real_block(const GemmReal<W>& g, size_t row, size_t panel, size_t begin, size_t end) {
    const W* w = g.panels + (panel * g.depth + begin) * kRealLanes;
    const float* x = g.rows + row * g.row_stride;
    Real16 sum[R] = {};
    for (size_t k = begin; k < end; ++k, w += kRealLanes) {
        Real16 weight;
        load(w, weight);
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) sum[r] += x[static_cast<size_t>(r) * g.row_stride + k] * weight;
    }
    const size_t left = g.channels - panel * kRealLanes, lanes = left < kRealLanes ? left : kRealLanes;
    for (int r = 0; r < R; ++r) {
        float* out = g.out + (row + static_cast<size_t>(r)) * g.out_stride + panel * kRealLanes;
        for (size_t j = 0; j < lanes; ++j) out[j] = begin ? out[j] + sum[r][j] : sum[r][j];
    }
}

// R rows at a time: as many sums as fit the registers.
template <int R, typename W>
void gemm_real(const GemmReal<W>& g) {
    for (size_t begin = 0; begin < g.depth; begin += kRealBlock) {
        const size_t end = begin + kRealBlock < g.depth ? begin + kRealBlock : g.depth;
        for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
            size_t row = 0;
            for (; row + R <= g.row_count; row += R) real_block<R>(g, row, panel, begin, end);
            for (; row < g.row_count; ++row) real_block<1>(g, row, panel, begin, end);
        }
    }
}

// The look-up tables of a GemmSelect: for the values 4 i … 4 i + 3 of a row, 16 sums; entry m is the sum of
// bit k of m ? one · x[4 i + k] : zero · x[4 i + k]. Behind the last value x is 0.
struct SelectTables {
    Real16 weight[4];

    SelectTables(float zero, float one) {
        for (int k = 0; k < 4; ++k)
            for (int m = 0; m < 16; ++m) weight[k][m] = m >> k & 1 ? one : zero;
    }

    void fill(const float* x, size_t values, size_t count, float (*tables)[16]) const {
        for (size_t i = 0; i < count; ++i) {
            float part[4] = {};
            const float* from = x + 4 * i;
            if (4 * i + 4 > values) {
                for (size_t k = 0; 4 * i + k < values; ++k) part[k] = from[k];
                from = part;
            }
            const Real16 sums =
                (from[0] * weight[0] + from[1] * weight[1]) + (from[2] * weight[2] + from[3] * weight[3]);
            __builtin_memcpy(tables[i], &sums, sizeof sums);
        }
    }
};

// Rows a few at a time, depth a block at a time, so that the tables stay in L1 while the panels stream past.
// Stretch::run<R>(tables, w, units, sums): the sums of R rows × one panel over `units` units of depth, where
// tables[r][i] is the table of values 4 i … 4 i + 3 of row r.
constexpr size_t kSelectTables = kRealBlock / 4;

template <int R, size_t Lanes, size_t Bytes, class Stretch>
void select_rows(const GemmSelect& g, size_t row, float (*tables)[kSelectTables][16]) {
    constexpr size_t kUnits = kRealBlock / (8 * Bytes);
    const SelectTables maker(g.zero, g.one);
    for (size_t begin = 0; begin < g.units; begin += kUnits) {
        const size_t units = g.units - begin < kUnits ? g.units - begin : kUnits;
        const size_t first = begin * 8 * Bytes, values = g.depth - first;
        for (int r = 0; r < R; ++r)
            maker.fill(g.rows + (row + static_cast<size_t>(r)) * g.row_stride + first, values,
                       units * Bytes * 2, tables[r]);
        for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
            alignas(64) float sums[R][Lanes];
            Stretch::template run<R>(tables, g.panels + (panel * g.units + begin) * Lanes * Bytes, units,
                                     sums);
            const size_t left = g.channels - panel * Lanes, lanes = left < Lanes ? left : Lanes;
            for (int r = 0; r < R; ++r) {
                float* out = g.out + (row + static_cast<size_t>(r)) * g.out_stride + panel * Lanes;
                if (g.add || begin)
                    for (size_t j = 0; j < lanes; ++j) out[j] += sums[r][j];
                else
                    for (size_t j = 0; j < lanes; ++j) out[j] = sums[r][j];
            }
        }
    }
}

template <size_t Lanes, size_t Bytes, class Stretch>
void select_all(const GemmSelect& g) {
    alignas(64) float tables[4][kSelectTables][16];
    size_t row = 0;
    for (; row + 4 <= g.row_count; row += 4) select_rows<4, Lanes, Bytes, Stretch>(g, row, tables);
    for (; row < g.row_count; ++row) select_rows<1, Lanes, Bytes, Stretch>(g, row, tables);
}

// Few levels are all compared; from 15 on they are searched, which needs 2^n − 1 of them.
template <typename T>
void count_levels(const Levels<T>& v) {
    constexpr size_t kPart = 64;
    const bool search = v.levels >= 15 && (v.levels & (v.levels + 1)) == 0;
    for (size_t begin = 0; begin < v.channels; begin += kPart) {
        const size_t channels = v.channels - begin < kPart ? v.channels - begin : kPart;
        const T *x = v.x + begin, *t = v.t + begin;
        int32_t count[kPart] = {};
        if (search) {
            for (size_t step = (v.levels + 1) / 2; step; step /= 2)
                for (size_t c = 0; c < channels; ++c) {
                    const size_t middle = static_cast<size_t>(count[c]) + step - 1;
                    count[c] += x[c] >= t[middle * v.stride + c] ? static_cast<int32_t>(step) : 0;
                }
        } else {
            for (size_t l = 0; l < v.levels; ++l)
                for (size_t c = 0; c < channels; ++c) count[c] += x[c] >= t[l * v.stride + c];
        }
        // −n − 1 = ~n: where falling, levels − n = ~n + levels + 1.
        for (size_t c = 0; c < channels; ++c) {
            const unsigned falling = v.falling[begin + c];
            const unsigned code = (static_cast<unsigned>(count[c]) ^ falling) + (falling & (v.levels + 1));
            v.codes[begin + c] = static_cast<uint8_t>(code);
        }
    }
}

}  // namespace
}  // namespace binarynet
