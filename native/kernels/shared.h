// Kernels that are one piece of C++ for all instruction sets: each file of native/kernels includes this and
// compiles it with its own flags. Vectors are the compiler's own (GCC and Clang vector extensions), as wide
// as a register. Everything has internal linkage, as in bits.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "contract.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace binarynet {
namespace {

#if defined(__AVX512F__)
constexpr size_t kRealWidth = 16;
#elif defined(__AVX2__)
constexpr size_t kRealWidth = 8;
#else
constexpr size_t kRealWidth = 4;
#endif
typedef float Reals __attribute__((vector_size(kRealWidth * 4)));

inline __attribute__((always_inline)) Reals load(const float* from) {
    Reals to;
    __builtin_memcpy(&to, from, sizeof to);
    return to;
}

inline __attribute__((always_inline)) Reals load(const int8_t* from) {
#if defined(__AVX512F__)
    constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns of what the plain intrinsics leave undefined
    const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(from));
    return _mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepi8_epi32(kAll, bytes));
#elif defined(__AVX2__)
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#elif defined(__aarch64__)
    int32_t bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bytes)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
#else
    return Reals{float(from[0]), float(from[1]), float(from[2]), float(from[3])};
#endif
}

// Here a product is not rounded before it is added, where there is an instruction for that.
inline __attribute__((always_inline)) void multiply_add(float x, const Reals& w, Reals& sum) {
#if defined(__AVX512F__)
    sum = _mm512_fmadd_ps(_mm512_set1_ps(x), w, sum);
#elif defined(__FMA__)
    sum = _mm256_fmadd_ps(_mm256_set1_ps(x), w, sum);
#elif defined(__aarch64__)
    sum = vfmaq_n_f32(sum, w, x);
#else
    sum += x * w;
#endif
}

inline __attribute__((always_inline)) void store_sums(const float* sums, size_t lanes, bool add, float* out) {
    if (add)
        for (size_t j = 0; j < lanes; ++j) out[j] += sums[j];
    else
        for (size_t j = 0; j < lanes; ++j) out[j] = sums[j];
}

// Sums of a block are finished before they join those of the blocks before it, so that the error of a sum of
// n numbers grows with n / kRealBlock, not with n.
constexpr size_t kRealBlock = 512;

// R rows × P panels over a stretch of depth, x: rows `stride` apart.
constexpr size_t kRealStretch = kRealBlock / 2, kRealRows = 64;

template <int R, int P, typename W>
void real_block(const GemmReal<W>& g, const float* x, size_t stride, size_t row, size_t panel, size_t begin,
                size_t length) {
    const W* w = g.panels + (panel * g.depth + begin) * kRealLanes;
    constexpr size_t kParts = kRealLanes / kRealWidth, kVectors = P * kParts;
    Reals sum[R][kVectors] = {};
    for (size_t k = 0; k < length; ++k) {
        Reals weight[kVectors];
        BINARYNET_UNROLL
        for (size_t v = 0; v < kVectors; ++v)
            weight[v] = load(w + (v / kParts * g.depth + k) * kRealLanes + v % kParts * kRealWidth);
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            const float value = x[static_cast<size_t>(r) * stride + k];
            BINARYNET_UNROLL
            for (size_t v = 0; v < kVectors; ++v) multiply_add(value, weight[v], sum[r][v]);
        }
    }
    float* const first = g.out + row * g.out_stride + panel * kRealLanes;
    const size_t lanes = g.channels - panel * kRealLanes;
    if (lanes >= P * kRealLanes) {  // from registers
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            float* out = first + static_cast<size_t>(r) * g.out_stride;
            BINARYNET_UNROLL
            for (size_t v = 0; v < kVectors; ++v, out += kRealWidth) {
                const Reals whole = begin ? load(out) + sum[r][v] : sum[r][v];
                __builtin_memcpy(out, &whole, sizeof whole);
            }
        }
        return;
    }
    for (int r = 0; r < R; ++r) {
        float sums[P * kRealLanes];
        __builtin_memcpy(sums, sum[r], sizeof sums);
        store_sums(sums, lanes, begin, first + static_cast<size_t>(r) * g.out_stride);
    }
}

// The rows of a tile lie close together, so that they do not drive each other out of a cache where their
// stride is a power of two. Short rows do already.
template <int R, int P, typename W>
void gemm_real(const GemmReal<W>& g) {
    alignas(64) float tile[kRealRows][kRealStretch];
    for (size_t first = 0; first < g.row_count; first += kRealRows) {
        const size_t rows = g.row_count - first < kRealRows ? g.row_count - first : kRealRows;
        for (size_t begin = 0; begin < g.depth; begin += kRealStretch) {
            const size_t length = g.depth - begin < kRealStretch ? g.depth - begin : kRealStretch;
            const bool near = g.row_stride <= kRealStretch;
            const float* const x = near ? g.rows + first * g.row_stride : tile[0];
            const size_t stride = near ? g.row_stride : kRealStretch;
            for (size_t r = 0; r < rows && !near; ++r)
                __builtin_memcpy(tile[r], g.rows + (first + r) * g.row_stride + begin,
                                 length * sizeof(float));
            size_t panel = g.panel_begin;
            for (; panel + P <= g.panel_end; panel += P) {
                size_t r = 0;
                for (; r + R <= rows; r += R)
                    real_block<R, P>(g, x + r * stride, stride, first + r, panel, begin, length);
                for (; r < rows; ++r)
                    real_block<1, P>(g, x + r * stride, stride, first + r, panel, begin, length);
            }
            for (; panel < g.panel_end; ++panel)
                for (size_t r = 0; r < rows; ++r)
                    real_block<1, 1>(g, x + r * stride, stride, first + r, panel, begin, length);
        }
    }
}

// V vectors of channels, from channel c on.
template <size_t V>
inline __attribute__((always_inline)) void depthwise_channels(const DepthwiseReals& d, size_t c) {
    for (size_t i = 0; i < d.count; ++i) {
        Reals sum[V] = {};
        const float* w = d.weights + c;
        for (size_t t = 0; t < d.count_taps; ++t, w += d.channels) {
            const float* x = d.taps[t] + i * d.steps[t] + c;
            BINARYNET_UNROLL
            for (size_t v = 0; v < V; ++v) {
                const Reals product = load(x + v * kRealWidth) * load(w + v * kRealWidth);
                sum[v] += product;
            }
        }
        __builtin_memcpy(d.out + i * d.channels + c, sum, sizeof sum);
    }
}

inline void depthwise_reals(const DepthwiseReals& d) {
    size_t c = 0;
    for (; c + 4 * kRealWidth <= d.channels; c += 4 * kRealWidth) depthwise_channels<4>(d, c);
    for (; c + kRealWidth <= d.channels; c += kRealWidth) depthwise_channels<1>(d, c);
    for (; c < d.channels; ++c)
        for (size_t i = 0; i < d.count; ++i) {
            float sum = 0;
            for (size_t t = 0; t < d.count_taps; ++t) {
                const float product = d.taps[t][i * d.steps[t] + c] * d.weights[t * d.channels + c];
                sum += product;
            }
            d.out[i * d.channels + c] = sum;
        }
}

// The look-up tables of a GemmSelect: for the values 4 i … 4 i + 3 of a row, 16 sums; entry m is the sum of
// bit k of m ? one · x[4 i + k] : zero · x[4 i + k]. Behind the last value x is 0.
struct SelectTables {
    alignas(64) float weight[4][16];

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
            for (int m = 0; m < 16; ++m)
                tables[i][m] = (from[0] * weight[0][m] + from[1] * weight[1][m]) +
                               (from[2] * weight[2][m] + from[3] * weight[3][m]);
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
            const size_t left = g.channels - panel * Lanes;
            for (int r = 0; r < R; ++r) {
                float* out = g.out + (row + static_cast<size_t>(r)) * g.out_stride + panel * Lanes;
                if (left >= Lanes)
                    store_sums(sums[r], Lanes, g.add || begin, out);
                else
                    store_sums(sums[r], left, g.add || begin, out);
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

// Levels are all compared, a vector of channels at a time; from 127 on it is faster to search them, which
// needs 2^n − 1 of them.
template <typename T>
void count_levels(const Levels<T>& v) {
    constexpr size_t kPart = 64;
    const bool search = v.levels >= 127 && (v.levels & (v.levels + 1)) == 0;
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
