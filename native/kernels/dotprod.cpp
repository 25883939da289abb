// compile (aarch64|arm64): -march=armv8.2-a+dotprod
//
// NEON with FEAT_DotProd (Cortex-A55, A75 and later, Neoverse, Apple): udot adds four products of bytes to
// each 32-bit lane. Panels are those of neon.cpp. The instruction serves twice:
//
// Few planes: it adds the counts of bytes up, each times 1, so that a sum is 32 bits wide from the beginning.
//
//     instruction, 128 bits        latency  pipe (Neoverse N1)    per 128 binary MACs
//     eor                             2     V0 or V1                1
//     cnt.16b                         2     V0 or V1                1
//     udot.4s, v.16b, v.16b           2     V0 or V1                1
//
// As many operations as neon.cpp, at most 128 · 2 / 3 = 85 binary MACs a cycle, without the widening.
//
// Many planes: a row's planes become the codes they came from, and a weight bit w a byte. With D = Σ a · w,
//
//     S = Σ_n 2^n · popcount(a.plane[n] ^ w) = Σ a + (2^P − 1) · popcount(w) − 2 D
//
//     instruction, 128 bits        latency  pipe (Neoverse N1)    per 8 rows × 8 channels × 4 values
//     udot.4s, v.16b, v.4b[i]         2     V0 or V1               16, of 16 MACs each
//     cmtst.16b                       2     V0 or V1                2
//     movi.16b                        2     V0 or V1                1
//
// 256 MACs in 19 operations: at most 27 a cycle, whatever the number of planes, where popcount comes to
// 85 / P. cmtst gives 255, not 1, for a bit; but 255 is odd, so modulo 2^32 it has an inverse, and −2 D =
// 255 D · 0x02020202. Where the numbers of the tables come from, and that nothing has been timed: neon.cpp.
#include "neon.h"

namespace binarynet {
namespace {

struct Dots {
    template <int R, int V>
    static inline __attribute__((always_inline)) void add(const uint8_t* const (&a)[R], const uint8_t* w,
                                                          size_t panel_bytes, size_t units,
                                                          uint32x4_t (&sum)[R][V]) {
        const uint8x16_t ones = vdupq_n_u8(1);
        for (size_t k = 0; k < units; ++k) {
            uint8x16_t value[R];
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) value[r] = broadcast4(a[r] + 4 * k);
            BINARYNET_UNROLL
            for (int v = 0; v < V; ++v) {
                const uint8x16_t weight =
                    vld1q_u8(w + v / kVectors * panel_bytes + k * kUnit + v % kVectors * 16);
                BINARYNET_UNROLL
                for (int r = 0; r < R; ++r)
                    sum[r][v] = vdotq_u32(sum[r][v], vcntq_u8(veorq_u8(value[r], weight)), ones);
            }
        }
    }
};

constexpr size_t kRows = 8, kValues = 32, kMaxUnits = 512;  // of a block of codes: 128 KB

// Rows as codes. Byte 4 m + j of a unit is value 8 j + m, because bit m of the four bytes of a weight is what
// one cmtst takes out.
struct Codes {
    alignas(64) uint8_t values[kRows][kMaxUnits * kValues];
    uint32_t sum[kRows];  // Σ a
};
thread_local Codes codes;

// Vector operations per unit, as counted in the loops below.
//
//     popcount   12.5 · rows · planes · panels
//     codes      7 · rows · planes  +  (312 for 8 rows, 184 for 4) · panels       planes to codes, product
bool codes_win(const Gemm& g, size_t rows) {
    if (g.units > kMaxUnits) return false;
    const size_t panels = g.panel_end - g.panel_begin, planes = rows * static_cast<size_t>(g.planes);
    return 25 * planes * panels > 14 * planes + (rows > 4 ? 624 : 368) * panels;
}

void to_codes(const Gemm& g, size_t row, size_t count, Codes& out) {
    const uint8x16_t low = {1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8};
    const uint8x16_t high = vshlq_n_u8(low, 4), ones = vdupq_n_u8(1);
    for (size_t r = 0; r < count; ++r) {
        const uint64_t* planes = g.rows + (row + r) * g.row_stride;
        uint32x4_t sum = vdupq_n_u32(0);
        for (size_t k = 0; k < g.units; ++k) {
            uint8x16_t first = vdupq_n_u8(0), second = first;
            for (int n = g.planes - 1; n >= 0; --n) {  // a set bit is −1: code = 2 · code + bit
                const uint8x16_t bits = broadcast4(
                    reinterpret_cast<const uint8_t*>(planes + static_cast<size_t>(n) * g.words) + 4 * k);
                first = vsubq_u8(vaddq_u8(first, first), vtstq_u8(bits, low));
                second = vsubq_u8(vaddq_u8(second, second), vtstq_u8(bits, high));
            }
            vst1q_u8(out.values[r] + k * kValues, first);
            vst1q_u8(out.values[r] + k * kValues + 16, second);
            sum = vdotq_u32(vdotq_u32(sum, first, ones), second, ones);
        }
        out.sum[r] = vaddvq_u32(sum);
    }
}

// Bit M of each byte of two vectors of weights against the codes that belong to it, element M mod 4 of x.
template <int M, size_t R>
inline __attribute__((always_inline)) void add_bit(uint8x16_t (&weight)[2], const uint8x16_t (&x)[R],
                                                   uint32x4_t (&sum)[R][2]) {
    BINARYNET_UNROLL
    for (int v = 0; v < 2; ++v) {
        // One bit after the other: taken out early, four of them would not fit the registers.
        __asm__("" : "+w"(weight[v]) : "w"(sum[R - 1][v]));
        const uint8x16_t bits = vtstq_u8(weight[v], vdupq_n_u8(1 << M));
        BINARYNET_UNROLL
        for (size_t r = 0; r < R; ++r) sum[r][v] = vdotq_laneq_u32(sum[r][v], bits, x[r], M % 4);
    }
}

// 255 D of R rows × 8 channels, whose weights are two vectors of every unit.
template <size_t R>
__attribute__((noinline)) void dot(const Codes& c, const uint8_t* w, size_t units, uint32x4_t (&out)[R][2]) {
    uint32x4_t sum[R][2];
    BINARYNET_UNROLL
    for (size_t r = 0; r < R; ++r) sum[r][0] = sum[r][1] = vdupq_n_u32(0);
    for (size_t k = 0; k < units; ++k) {
        uint8x16_t weight[2] = {vld1q_u8(w + k * kUnit), vld1q_u8(w + k * kUnit + 16)};
        uint8x16_t x[R];
        BINARYNET_UNROLL
        for (size_t r = 0; r < R; ++r) x[r] = vld1q_u8(c.values[r] + k * kValues);
        add_bit<0>(weight, x, sum);
        add_bit<1>(weight, x, sum);
        add_bit<2>(weight, x, sum);
        add_bit<3>(weight, x, sum);
        BINARYNET_UNROLL
        for (size_t r = 0; r < R; ++r) x[r] = vld1q_u8(c.values[r] + k * kValues + 16);
        add_bit<4>(weight, x, sum);
        add_bit<5>(weight, x, sum);
        add_bit<6>(weight, x, sum);
        add_bit<7>(weight, x, sum);
    }
    BINARYNET_UNROLL
    for (size_t r = 0; r < R; ++r) {
        out[r][0] = sum[r][0];
        out[r][1] = sum[r][1];
    }
}

// The first `count` of R rows of codes × one panel. What the others hold is not looked at.
template <size_t R, class Args>
void product(const Args& g, const Codes& c, size_t row, size_t count, size_t panel) {
    const uint8_t* w = g.panels + panel * g.units * kUnit;
    uint32x4_t sum[2][R][2], ones[kVectors];
    dot<R>(c, w, g.units, sum[0]);
    dot<R>(c, w + 32, g.units, sum[1]);
    BINARYNET_UNROLL
    for (int v = 0; v < kVectors; ++v) ones[v] = vdupq_n_u32(0);
    for (size_t k = 0; k < g.units; ++k) {
        BINARYNET_UNROLL
        for (int v = 0; v < kVectors; ++v)
            ones[v] = vdotq_u32(ones[v], vcntq_u8(vld1q_u8(w + k * kUnit + v * 16)), vdupq_n_u8(1));
    }
    const uint32_t largest = (uint32_t{1} << g.planes) - 1;
    for (size_t r = 0; r < count; ++r) {
        uint32x4_t s[kVectors];
        for (int v = 0; v < kVectors; ++v)
            s[v] = vmlaq_n_u32(vmlaq_n_u32(vdupq_n_u32(c.sum[r]), ones[v], largest), sum[v / 2][r][v % 2],
                               0x02020202);
        store(g, row + r, panel, s);
    }
}

template <class Args>
void gemm(const Args& g) {
    size_t row = 0;
    for (; row < g.row_count; row += kRows) {
        const size_t rows = g.row_count - row < kRows ? g.row_count - row : kRows;
        if (!codes_win(g, rows)) break;  // then nor do the fewer rows of the last block
        Codes& c = codes;
        to_codes(g, row, rows, c);
        for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
            if (rows > 4)
                product<8>(g, c, row, rows, panel);
            else
                product<4>(g, c, row, rows, panel);
        }
    }
    if (row < g.row_count) count_rows<Dots>(g, row);
}

}  // namespace

extern const KernelTable dotprod_kernels = {
    .panel = {kLanes, 4},
    .gemm_bits = gemm<GemmBits>,
    .gemm_i32 = gemm<GemmI32>,
};

}  // namespace binarynet
