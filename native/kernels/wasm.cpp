// compile (wasm32): -msimd128
//
// WebAssembly's 128-bit vectors, which every browser since 2023 has, and a popcount of bytes. A module has
// them or is not accepted at all, so nothing is asked at run time. What runs is what the browser compiles:
//
//     instruction            on x86-64 with AVX2              on AArch64
//     v128.load32_splat      vbroadcastss                     ld1r
//     v128.xor               vpxor                            eor
//     i8x16.popcnt           vpand 2, vpsrlw, vpshufb 2, vpaddb     cnt
//     i8x16.add              vpaddb                           add
//
// The popcount is the bottleneck on x86-64: six instructions of the nine that 128 binary MACs take, two of
// them on the shuffle port. Counts stay bytes for 31 steps (31 · 8 = 248 < 256), and are then added up by two
// pairwise extending additions. x86-64 has 16 vector registers, so a block is two rows × one panel: eight
// sums, a value for each row.
#include <wasm_simd128.h>

#include "base/bits.h"
#include "bitsliced.h"
#include "contract.h"
#include "shared.h"

namespace binarynet {
namespace {

constexpr size_t kLanes = 16, kUnit = 64;  // channels of a panel, bytes of a unit of it
constexpr int kVectors = 4;                // of a unit, each 4 channels × 32 values

// Bit i = whether lane i is all ones; the others are all zeros.
inline uint16_t bits_of(const v128_t (&lanes)[kVectors]) {
    const v128_t low = wasm_i16x8_narrow_i32x4(lanes[0], lanes[1]);
    const v128_t high = wasm_i16x8_narrow_i32x4(lanes[2], lanes[3]);
    return static_cast<uint16_t>(wasm_i8x16_bitmask(wasm_i8x16_narrow_i16x8(low, high)));
}

inline const int32_t* terms_of(const Gemm& g, size_t row, size_t panel) {
    return g.terms + (g.classes ? g.classes[row] * g.term_stride : 0) + panel * kLanes;
}

// The sums of one row and one panel.
inline void store(const GemmBits& g, size_t row, size_t panel, const v128_t* sum) {
    const int32_t* limits = terms_of(g, row, panel);
    v128_t reached[kVectors];
    for (int v = 0; v < kVectors; ++v) reached[v] = wasm_i32x4_le(sum[v], wasm_v128_load(limits + 4 * v));
    uint16_t flip;
    __builtin_memcpy(&flip, g.flip + panel * 2, 2);
    const uint16_t bits = static_cast<uint16_t>(bits_of(reached) ^ flip);
    __builtin_memcpy(g.out + row * g.out_stride + panel * 2, &bits, 2);
}

inline void store(const GemmI32& g, size_t row, size_t panel, const v128_t* sum) {
    const int32_t* bases = terms_of(g, row, panel);
    int32_t* const out = g.out + row * g.out_stride + panel * kLanes;
    const size_t left = g.channels - panel * kLanes;
    int32_t part[kLanes];
    int32_t* const target = left < kLanes ? part : out;
    for (int v = 0; v < kVectors; ++v) {
        const v128_t taken = wasm_i32x4_shl(sum[v], static_cast<uint32_t>(g.shift));
        wasm_v128_store(target + 4 * v, wasm_i32x4_sub(wasm_v128_load(bases + 4 * v), taken));
    }
    if (left < kLanes) __builtin_memcpy(out, part, left * sizeof(int32_t));
}

// The popcounts of one plane, R rows against one panel, on top of what was summed before.
template <int R>
inline __attribute__((always_inline)) void add_counts(const uint8_t* const (&a)[R], const uint8_t* w,
                                                      size_t units, v128_t (&sum)[R][kVectors]) {
    constexpr size_t kSteps = 31;
    for (size_t begin = 0; begin < units; begin += kSteps) {
        const size_t end = begin + kSteps < units ? begin + kSteps : units;
        v128_t bytes[R][kVectors];
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            BINARYNET_UNROLL
            for (int v = 0; v < kVectors; ++v) bytes[r][v] = wasm_i8x16_splat(0);
        }
        for (size_t k = begin; k < end; ++k) {
            v128_t value[R];
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) value[r] = wasm_v128_load32_splat(a[r] + 4 * k);
            BINARYNET_UNROLL
            for (int v = 0; v < kVectors; ++v) {
                const v128_t weight = wasm_v128_load(w + k * kUnit + v * 16);
                BINARYNET_UNROLL
                for (int r = 0; r < R; ++r) {
                    const v128_t count = wasm_i8x16_popcnt(wasm_v128_xor(value[r], weight));
                    bytes[r][v] = wasm_i8x16_add(bytes[r][v], count);
                }
            }
        }
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            BINARYNET_UNROLL
            for (int v = 0; v < kVectors; ++v) {
                const v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(bytes[r][v]);
                sum[r][v] = wasm_i32x4_add(sum[r][v], wasm_u32x4_extadd_pairwise_u16x8(pairs));
            }
        }
    }
}

template <int R, class Args>
__attribute__((noinline)) void block(const Args& g, size_t row, size_t panel) {
    v128_t sum[R][kVectors];
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) {
        BINARYNET_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[r][v] = wasm_i32x4_splat(0);
    }
    for (int n = g.planes - 1; n >= 0; --n) {  // Horner's rule over the planes
        const uint8_t* a[R];
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            a[r] = reinterpret_cast<const uint8_t*>(g.rows + (row + static_cast<size_t>(r)) * g.row_stride +
                                                    static_cast<size_t>(n) * g.words);
            BINARYNET_UNROLL
            for (int v = 0; v < kVectors; ++v) sum[r][v] = wasm_i32x4_add(sum[r][v], sum[r][v]);
        }
        add_counts<R>(a, g.panels + panel * g.units * kUnit, g.units, sum);
    }
    for (int r = 0; r < R; ++r) store(g, row + static_cast<size_t>(r), panel, sum[r]);
}

// A panel stays in L1 while the rows stream past it.
template <class Args>
void gemm(const Args& g) {
    for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
        size_t row = 0;
        for (; row + 2 <= g.row_count; row += 2) block<2>(g, row, panel);
        for (; row < g.row_count; ++row) block<1>(g, row, panel);
    }
}

// Bit n of 64 bytes → 64 bits: shifted to the top of each byte, where bitmask reads it.
void split(const uint8_t* codes, size_t count, int planes, uint64_t* out, size_t words) {
    for (size_t k = 0; k < words; ++k) {
        uint8_t last[kWord] = {};
        const uint8_t* from = codes + k * kWord;
        if (count - k * kWord < kWord) {
            __builtin_memcpy(last, from, count - k * kWord);
            from = last;
        }
        for (int n = 0; n < planes; ++n) {
            uint64_t word = 0;
            for (size_t part = 0; part < 4; ++part) {
                const v128_t top =
                    wasm_i8x16_shl(wasm_v128_load(from + 16 * part), static_cast<uint32_t>(7 - n));
                word |= uint64_t{static_cast<uint16_t>(wasm_i8x16_bitmask(top))} << 16 * part;
            }
            out[static_cast<size_t>(n) * words + k] = word;
        }
    }
}

inline v128_t at_least(const int32_t* x, const int32_t* t) {
    return wasm_i32x4_ge(wasm_v128_load(x), wasm_v128_load(t));
}

inline v128_t at_least(const float* x, const float* t) {
    return wasm_f32x4_ge(wasm_v128_load(x), wasm_v128_load(t));
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
            const v128_t reached[] = {at_least(xs + i, ts + i), at_least(xs + i + 4, ts + i + 4),
                                      at_least(xs + i + 8, ts + i + 8), at_least(xs + i + 12, ts + i + 12)};
            word |= uint64_t{bits_of(reached)} << i;
        }
        for (; i < end; ++i) word |= uint64_t{xs[i] >= ts[i]} << i;
        out[k] = word ^ flip[k];
    }
}

// One look-up at a time: there is none in a table of sixteen floats.
struct Stretch {
    template <int R>
    static void run(const float (*tables)[kSelectTables][16], const uint8_t* w, size_t units,
                    float (&sums)[R][kLanes]) {
        for (int r = 0; r < R; ++r)
            for (size_t j = 0; j < kLanes; ++j) sums[r][j] = 0;
        for (size_t k = 0; k < units; ++k) {
            uint32_t lanes[kLanes];
            __builtin_memcpy(lanes, w + k * sizeof lanes, sizeof lanes);
            for (size_t q = 0; q < 8; ++q)
                for (int r = 0; r < R; ++r)
                    for (size_t j = 0; j < kLanes; ++j)
                        sums[r][j] += tables[r][k * 8 + q][lanes[j] >> 4 * q & 15];
        }
    }
};

constexpr Price price_list[] = {
#include "costs/wasm.inc"
};
static_assert(complete(price_list), "costs/wasm.inc names every count of counts.inc once");
constexpr Prices prices = by_count(price_list);

}  // namespace

extern const KernelTable wasm_kernels = {
    .panel = {kLanes, 4},
    .gemm_bits = gemm<GemmBits>,
    .gemm_i32 = gemm<GemmI32>,
    .split = split,
    .threshold_i32 = threshold<int32_t>,
    .threshold_f32 = threshold<float>,
    .levels_i32 = count_levels<int32_t>,
    .levels_f32 = count_levels<float>,
    .gemm_select = select_all<kLanes, 4, Stretch>,
    .gemm_real_f32 = gemm_real<2, 1, float>,
    .gemm_real_i8 = gemm_real<2, 1, int8_t>,
    .depthwise_reals = depthwise_reals,
    .list_pair = list_pair,
    .vertical_bits = vertical_bits,
    .vertical_i32 = vertical_i32,
    .vertical_bytes = kWide,
    .sliced_bits = sliced_bits,
    .transpose = transpose,
    .slide = slide,
    .prices = &prices,
};

}  // namespace binarynet
