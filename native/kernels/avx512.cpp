// compile (x86_64|AMD64): -mavx512dq -mavx512vl -mavx512vpopcntdq -mavx512vbmi -mavx512vbmi2 -mgfni
//
// AVX-512 with VPOPCNTDQ, VBMI and GFNI (Ice Lake, Sapphire Rapids, Zen 4 and later). A panel is 16 channels,
// interleaved by 4 bytes: one 512-bit vector is 16 channels × 32 values, and a lane is the int32 sum of one
// channel.
//
//     instruction, 512 bits     latency  port (Intel)      per 512 binary MACs
//     vpbroadcastd zmm, m32        5     load                1 / panels in the block
//     vmovdqa64 zmm, m512          5     load                1 / rows in the block
//     vpxord                       1     p0, p5              1
//     vpopcntd                     3     p5                  1
//     vpaddd                       1     p0, p5              1
//
// Three operations on two ports: at most 512 / 1.5 = 341 binary MACs a cycle, whatever the order. Carry-save
// adders (vpternlogd) merge sums before they are counted, but come out at the same three operations a word,
// so the plain form stays. A block of 4 rows × 4 panels needs 16 sums + 4 weights + 1 of 32 registers and 8
// loads per 48 operations.
#include <immintrin.h>

#include "base/bits.h"
#include "bitsliced.h"
#include "contract.h"
#include "lookup.h"
#include "shared.h"

namespace binarynet {
namespace {

constexpr size_t kLanes = 16, kVector = 64;

typedef int32_t __attribute__((may_alias)) Unit;  // 32 values of a row

// S of R rows × P panels, a vector of 16 channels each.
template <int R, int P>
inline __attribute__((always_inline)) void weighted_popcount(const Gemm& g, size_t row, size_t panel,
                                                             __m512i (&sum)[R][P]) {
    const size_t units = g.units, panel_bytes = units * kVector;
    const uint8_t* const w = g.panels + panel * panel_bytes;
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) {
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) sum[r][p] = _mm512_setzero_si512();
    }
    const auto count = [&](const Unit* const(&a)[R], const uint8_t* weights, size_t length) {
        for (size_t k = 0; k < length; ++k) {
            __m512i weight[P];
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p)
                weight[p] = _mm512_load_si512(weights + p * panel_bytes + k * kVector);
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) {
                const __m512i value = _mm512_set1_epi32(a[r][k]);
                BINARYNET_UNROLL
                for (int p = 0; p < P; ++p)
                    sum[r][p] =
                        _mm512_add_epi32(sum[r][p], _mm512_popcnt_epi32(_mm512_xor_si512(value, weight[p])));
            }
        }
    };
    const Unit* a[R];
    if (g.starts) {
        const size_t length = units / g.segments;
        for (size_t s = 0; s < g.segments; ++s) {
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r)
                a[r] = reinterpret_cast<const Unit*>(g.starts[row + r] + s * g.segment_stride);
            count(a, w + s * length * kVector, length);
        }
        return;
    }
    for (int n = g.planes - 1; n >= 0; --n) {  // Horner's rule over the planes
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            a[r] = reinterpret_cast<const Unit*>(g.rows + (row + r) * g.row_stride + n * g.words);
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) sum[r][p] = _mm512_add_epi32(sum[r][p], sum[r][p]);
        }
        count(a, w, units);
    }
}

inline const int32_t* terms_of(const Gemm& g, size_t row) {
    return g.terms + (g.classes ? g.classes[row] * g.term_stride : 0);
}

struct ToBits {
    typedef GemmBits Args;

    template <int R, int P>
    static inline __attribute__((always_inline)) void store(const GemmBits& g, size_t row, size_t panel,
                                                            const __m512i (&sum)[R][P]) {
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            const int32_t* limits = terms_of(g, row + r) + panel * kLanes;
            uint8_t* out = g.out + (row + r) * g.out_stride + panel * 2;
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) {
                const __mmask16 reached =
                    _mm512_cmple_epi32_mask(sum[r][p], _mm512_loadu_si512(limits + p * kLanes));
                uint16_t flip;
                __builtin_memcpy(&flip, g.flip + (panel + p) * 2, 2);
                const uint16_t bits = static_cast<uint16_t>(reached ^ flip);
                __builtin_memcpy(out + p * 2, &bits, 2);
            }
        }
    }
};

struct ToI32 {
    typedef GemmI32 Args;

    template <int R, int P>
    static inline __attribute__((always_inline)) void store(const GemmI32& g, size_t row, size_t panel,
                                                            const __m512i (&sum)[R][P]) {
        const __m128i shift = _mm_cvtsi32_si128(g.shift);
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            const int32_t* bases = terms_of(g, row + r) + panel * kLanes;
            int32_t* out = g.out + (row + r) * g.out_stride + panel * kLanes;
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) {
                const size_t left = g.channels - (panel + p) * kLanes;
                const __mmask16 exist = static_cast<__mmask16>(low_bits(left < kLanes ? left : kLanes));
                const __m512i acc = _mm512_sub_epi32(_mm512_loadu_si512(bases + p * kLanes),
                                                     _mm512_maskz_sll_epi32(exist, sum[r][p], shift));
                _mm512_mask_storeu_epi32(out + p * kLanes, exist, acc);
            }
        }
    }
};

template <int R, int P, class Store>
__attribute__((noinline)) void block(const typename Store::Args& g, size_t row, size_t panel) {
    __m512i sum[R][P];
    weighted_popcount<R, P>(g, row, panel, sum);
    Store::template store<R, P>(g, row, panel, sum);
}

// A group of panels stays in L1 while the rows stream past it.
template <int P, class Store>
void stream(const typename Store::Args& g, size_t panel) {
    size_t row = 0;
    for (; row + 4 <= g.row_count; row += 4) block<4, P, Store>(g, row, panel);
    if (row + 2 <= g.row_count) {
        block<2, P, Store>(g, row, panel);
        row += 2;
    }
    if (row < g.row_count) block<1, P, Store>(g, row, panel);
}

template <class Store>
void gemm(const typename Store::Args& g) {
    const size_t quads = (g.panel_end - g.panel_begin) / 4;
    for (size_t i = 0; i < quads; ++i)
        stream<4, Store>(g, g.panel_begin + 4 * (g.downwards ? quads - 1 - i : i));
    size_t panel = g.panel_begin + 4 * quads;
    if (panel + 2 <= g.panel_end) {
        stream<2, Store>(g, panel);
        panel += 2;
    }
    if (panel < g.panel_end) stream<1, Store>(g, panel);
}

void split(const uint8_t* codes, size_t count, int planes, uint64_t* out, size_t words) {
    for (size_t k = 0; k < words; ++k) {
        const __mmask64 exist = low_bits(count - k * kWord);
        const __m512i value = _mm512_maskz_loadu_epi8(exist, codes + k * kWord);
        for (int n = 0; n < planes; ++n)
            out[n * words + k] = _mm512_test_epi8_mask(value, _mm512_set1_epi8(static_cast<char>(1 << n)));
    }
}

// 16 comparisons at a time; `reached(i, exist)` gives those of values i … i + 15.
template <class Reached>
inline void threshold(const uint64_t* flip, size_t channels, uint64_t* out, Reached reached) {
    for (size_t k = 0; k < words_for(channels); ++k) {
        uint64_t word = 0;
        for (size_t part = 0; part < kWord && k * kWord + part < channels; part += kLanes) {
            const size_t first = k * kWord + part;
            const __mmask16 exist = static_cast<__mmask16>(low_bits(channels - first));
            word |= uint64_t{reached(first, exist)} << part;
        }
        out[k] = word ^ flip[k];
    }
}

void threshold_i32(const int32_t* x, const int32_t* t, const uint64_t* flip, size_t channels, uint64_t* out) {
    threshold(flip, channels, out, [=](size_t i, __mmask16 exist) -> __mmask16 {
        return _mm512_mask_cmpge_epi32_mask(exist, _mm512_maskz_loadu_epi32(exist, x + i),
                                            _mm512_maskz_loadu_epi32(exist, t + i));
    });
}

void threshold_f32(const float* x, const float* t, const uint64_t* flip, size_t channels, uint64_t* out) {
    threshold(flip, channels, out, [=](size_t i, __mmask16 exist) -> __mmask16 {
        return _mm512_mask_cmp_ps_mask(exist, _mm512_maskz_loadu_ps(exist, x + i),
                                       _mm512_maskz_loadu_ps(exist, t + i), _CMP_GE_OQ);
    });
}

// vpermps looks 16 channels up at once, by the lowest 4 bits of each lane: one look-up and one addition for
// 64 products, where multiply-adds need four. One row alone keeps four sums, to hide the latency of addition.
struct Stretch {
    template <int R>
    static void run(const float (*tables)[kSelectTables][16], const uint8_t* w, size_t units,
                    float (&sums)[R][kLanes]) {
        constexpr int kSums = R == 1 ? 4 : 1;
        constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns of what the plain intrinsics leave undefined
        __m512 sum[R][kSums];
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            BINARYNET_UNROLL
            for (int s = 0; s < kSums; ++s) sum[r][s] = _mm512_setzero_ps();
        }
        for (size_t k = 0; k < units; ++k) {
            __m512i weight = _mm512_load_si512(w + k * kVector);
            BINARYNET_UNROLL
            for (int q = 0; q < 8; ++q) {
                BINARYNET_UNROLL
                for (int r = 0; r < R; ++r)
                    sum[r][q % kSums] = _mm512_add_ps(
                        sum[r][q % kSums],
                        _mm512_maskz_permutexvar_ps(kAll, weight, _mm512_load_ps(tables[r][k * 8 + q])));
                weight = _mm512_maskz_srli_epi32(kAll, weight, 4);
            }
        }
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            BINARYNET_UNROLL
            for (int s = 1; s < kSums; ++s) sum[r][0] = _mm512_add_ps(sum[r][0], sum[r][s]);
            _mm512_store_ps(sums[r], sum[r][0]);
        }
    }
};

constexpr Price price_list[] = {
#include "costs/avx512.inc"
};
static_assert(complete(price_list), "costs/avx512.inc names every count of counts.inc once");
constexpr Prices prices = by_count(price_list);

constexpr Price intel_list[] = {
#include "costs/avx512-intel.inc"
};
static_assert(complete(intel_list), "costs/avx512-intel.inc names every count of counts.inc once");
constexpr Prices intel_prices = by_count(intel_list);

}  // namespace

extern const KernelTable avx512_kernels = {
    .panel = {kLanes, 4},
    .gemm_bits = gemm<ToBits>,
    .gemm_i32 = gemm<ToI32>,
    .split = split,
    .threshold_i32 = threshold_i32,
    .threshold_f32 = threshold_f32,
    .levels_i32 = count_levels<int32_t>,
    .levels_f32 = count_levels<float>,
    .gemm_select = select_all<kLanes, 4, Stretch>,
    .gemm_real_f32 = gemm_real<8, 2, float>,
    .gemm_real_i8 = gemm_real<8, 2, int8_t>,
    .depthwise_reals = depthwise_reals,
    .list_pair = list_pair,
    .vertical_bits = vertical_bits,
    .vertical_i32 = vertical_i32,
    .vertical_bytes = kWide,
    .sliced_bits = sliced_bits,
    .transpose = transpose,
    .slide = slide,
    .lookup_bits = lookup_bits,
    .lookup_i32 = lookup_i32,
    .lookup = lookup_shape,
    .segments = true,
    .prices = &prices,
    .intel_prices = &intel_prices,
    .popcount_unit = "avx512 popcount",
    .vertical_unit = "avx512 adders",
};

}  // namespace binarynet
