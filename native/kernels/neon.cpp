// compile (aarch64|arm64):
//
// Advanced SIMD, which every AArch64 processor has: 32 registers of 128 bits, and a popcount of bytes.
//
//     instruction, 128 bits            latency  pipe (Neoverse N1)   per 128 binary MACs
//     ld1r {v.4s}, [x]                    7     load, V0 or V1         1 / vectors in the block's panels
//     ldr q                               5     load                   1 / rows in the block
//     eor                                 2     V0 or V1               1
//     cnt.16b                             2     V0 or V1               1
//     add.16b                             2     V0 or V1               1
//     uaddlp.8h, uadalp.4s               2, 4   V0 or V1, V1           1 / 31 each
//
// Three operations on two pipes: at most 128 · 2 / 3 = 85 binary MACs a cycle on that core; cores with four
// pipes can do twice that. uadalp for each count would need the one pipe V1 for a third of the work; counts
// stay bytes for 31 steps instead (31 · 8 = 248 < 256). A block of 2 rows × 2 panels is 50 vector operations
// a step of which 48 count, and 8 loads.
//
// Latencies and pipes are those of LLVM's scheduling model of the Neoverse N1 (AArch64SchedNeoverseN1.td),
// which follows Arm's Neoverse N1 Software Optimization Guide. Nothing here has been timed: these kernels
// were run under emulation only, which shows that they are right and not how fast they are.
#include "neon.h"

#include "bitsliced.h"
#include "shared.h"

namespace binarynet {
namespace {

struct Bytes {
    template <int R, int V>
    static inline __attribute__((always_inline)) void add(const uint8_t* const (&a)[R], const uint8_t* w,
                                                          size_t panel_bytes, size_t units,
                                                          uint32x4_t (&sum)[R][V]) {
        constexpr size_t kSteps = 31;
        for (size_t begin = 0; begin < units; begin += kSteps) {
            const size_t end = begin + kSteps < units ? begin + kSteps : units;
            uint8x16_t bytes[R][V];
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) {
                BINARYNET_UNROLL
                for (int v = 0; v < V; ++v) bytes[r][v] = vdupq_n_u8(0);
            }
            for (size_t k = begin; k < end; ++k) {
                uint8x16_t value[R];
                BINARYNET_UNROLL
                for (int r = 0; r < R; ++r) value[r] = broadcast4(a[r] + 4 * k);
                BINARYNET_UNROLL
                for (int v = 0; v < V; ++v) {
                    const uint8x16_t weight =
                        vld1q_u8(w + v / kVectors * panel_bytes + k * kUnit + v % kVectors * 16);
                    BINARYNET_UNROLL
                    for (int r = 0; r < R; ++r)
                        bytes[r][v] = vaddq_u8(bytes[r][v], vcntq_u8(veorq_u8(value[r], weight)));
                }
            }
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) {
                BINARYNET_UNROLL
                for (int v = 0; v < V; ++v) sum[r][v] = vpadalq_u16(sum[r][v], vpaddlq_u8(bytes[r][v]));
            }
        }
    }
};

template <class Args>
void gemm(const Args& g) {
    count_rows<Bytes>(g, 0);
}

// Bit n of 64 bytes → 64 bits: each byte gives the weight of its place among eight, and three rounds of
// pairwise additions bring eight of them into one byte.
void split(const uint8_t* codes, size_t count, int planes, uint64_t* out, size_t words) {
    const uint8x16_t place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    for (size_t k = 0; k < words; ++k) {
        uint8_t last[kWord] = {};
        const uint8_t* from = codes + k * kWord;
        if (count - k * kWord < kWord) {
            __builtin_memcpy(last, from, count - k * kWord);
            from = last;
        }
        const uint8x16x4_t value = {vld1q_u8(from), vld1q_u8(from + 16), vld1q_u8(from + 32),
                                    vld1q_u8(from + 48)};
        for (int n = 0; n < planes; ++n) {
            const uint8x16_t bit = vdupq_n_u8(static_cast<uint8_t>(1 << n));
            uint8x16_t part[4];
            for (int i = 0; i < 4; ++i) part[i] = vandq_u8(vtstq_u8(value.val[i], bit), place);
            const uint8x16_t sum = vpaddq_u8(vpaddq_u8(part[0], part[1]), vpaddq_u8(part[2], part[3]));
            out[static_cast<size_t>(n) * words + k] =
                vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
        }
    }
}

inline uint32x4_t at_least(const int32_t* x, const int32_t* t) {
    return vcgeq_s32(vld1q_s32(x), vld1q_s32(t));
}

inline uint32x4_t at_least(const float* x, const float* t) {
    return vcgeq_f32(vld1q_f32(x), vld1q_f32(t));
}

// 16 comparisons at a time for whole groups of 16, one at a time for the rest.
template <typename T>
void threshold(const T* x, const T* t, const uint64_t* flip, size_t channels, uint64_t* out) {
    for (size_t k = 0; k < words_for(channels); ++k) {
        const size_t end = channels - k * kWord < kWord ? channels - k * kWord : kWord;
        const T *xs = x + k * kWord, *ts = t + k * kWord;
        uint64_t word = 0;
        size_t i = 0;
        for (; i + 16 <= end; i += 16) {
            const uint32x4_t reached[] = {at_least(xs + i, ts + i), at_least(xs + i + 4, ts + i + 4),
                                          at_least(xs + i + 8, ts + i + 8),
                                          at_least(xs + i + 12, ts + i + 12)};
            word |= uint64_t{bits_of(reached)} << i;
        }
        for (; i < end; ++i) word |= uint64_t{xs[i] >= ts[i]} << i;
        out[k] = word ^ flip[k];
    }
}

// A look-up in 16 numbers is tbl in four registers, with indices of bytes: dearer than multiplying. So bits
// become numbers (cmtst, bsl) once for R rows, and rows are multiplied by element (fmla).
template <int R, int I>
inline __attribute__((always_inline)) void add_value(const uint32x4_t (&weight)[kVectors],
                                                     const float32x4_t (&x)[R], uint32x4_t bit,
                                                     float32x4_t zero, float32x4_t one,
                                                     float32x4_t (&sum)[R][kVectors]) {
    BINARYNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
        const float32x4_t number = vbslq_f32(vtstq_u32(weight[v], bit), one, zero);
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) sum[r][v] = vfmaq_laneq_f32(sum[r][v], number, x[r], I);
    }
}

// R rows × one panel, over a block of depth at a time, whose sums are finished before they join the others.
template <int R>
void select_block(const GemmSelect& g, size_t row, size_t panel) {
    constexpr size_t kValues = 32, kBlock = kRealBlock / kValues;
    const uint8_t* w = g.panels + panel * g.units * kUnit;
    const size_t left = g.channels - panel * kLanes, lanes = left < kLanes ? left : kLanes;
    for (size_t begin = 0; begin < g.units; begin += kBlock) {
        const size_t end = begin + kBlock < g.units ? begin + kBlock : g.units;
        float32x4_t sum[R][kVectors];
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < kVectors; ++v) sum[r][v] = vdupq_n_f32(0);
        for (size_t k = begin; k < end; ++k) {
            const float* from[R];
            float last[R][kValues] = {};
            const size_t values = g.depth - k * kValues;
            for (int r = 0; r < R; ++r) {
                from[r] = g.rows + (row + static_cast<size_t>(r)) * g.row_stride + k * kValues;
                if (values >= kValues) continue;
                __builtin_memcpy(last[r], from[r], values * sizeof(float));
                from[r] = last[r];
            }
            uint32x4_t weight[kVectors];
            for (int v = 0; v < kVectors; ++v)
                weight[v] = vreinterpretq_u32_u8(vld1q_u8(w + k * kUnit + v * 16));
            for (size_t i = 0; i < kValues; i += 4) {
                float32x4_t x[R];
                BINARYNET_UNROLL
                for (int r = 0; r < R; ++r) x[r] = vld1q_f32(from[r] + i);
                const uint32_t bit = uint32_t{1} << i;
                const float32x4_t zero = vdupq_n_f32(g.zero), one = vdupq_n_f32(g.one);
                add_value<R, 0>(weight, x, vdupq_n_u32(bit), zero, one, sum);
                add_value<R, 1>(weight, x, vdupq_n_u32(bit << 1), zero, one, sum);
                add_value<R, 2>(weight, x, vdupq_n_u32(bit << 2), zero, one, sum);
                add_value<R, 3>(weight, x, vdupq_n_u32(bit << 3), zero, one, sum);
            }
        }
        for (int r = 0; r < R; ++r) {
            float sums[kLanes];
            for (int v = 0; v < kVectors; ++v) vst1q_f32(sums + 4 * v, sum[r][v]);
            float* out = g.out + (row + static_cast<size_t>(r)) * g.out_stride + panel * kLanes;
            if (g.add || begin)
                for (size_t j = 0; j < lanes; ++j) out[j] += sums[j];
            else
                for (size_t j = 0; j < lanes; ++j) out[j] = sums[j];
        }
    }
}

void gemm_select(const GemmSelect& g) {
    for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
        size_t row = 0;
        for (; row + 4 <= g.row_count; row += 4) select_block<4>(g, row, panel);
        for (; row < g.row_count; ++row) select_block<1>(g, row, panel);
    }
}

}  // namespace

extern const KernelTable neon_kernels = {
    .panel = {kLanes, 4},
    .gemm_bits = gemm<GemmBits>,
    .gemm_i32 = gemm<GemmI32>,
    .split = split,
    .threshold_i32 = threshold<int32_t>,
    .threshold_f32 = threshold<float>,
    .levels_i32 = count_levels<int32_t>,
    .levels_f32 = count_levels<float>,
    .gemm_select = gemm_select,
    .gemm_real_f32 = gemm_real<6, 1, float>,
    .gemm_real_i8 = gemm_real<6, 1, int8_t>,
    .depthwise_reals = depthwise_reals,
    .list_pair = list_pair,
    .vertical_bits = vertical_bits,
    .vertical_i32 = vertical_i32,
    .vertical_bytes = kWide,
    .sliced_bits = sliced_bits,
    .transpose = transpose,
    .slide = slide,
};

}  // namespace binarynet
