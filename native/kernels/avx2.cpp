// compile (x86_64|AMD64): -mavx2 -mfma
//
// AVX2 has no vector popcount. The usual way (xor, two nibbles, two table look-ups, sums) costs 8 operations
// per 256 binary MACs. Here the table takes the xor along: for one nibble of a row there is a table of 16
// bytes,
//
//     table[a][w] = popcount(a ^ w)         a, w = 0 … 15
//
// so the nibbles of the weights are looked up in the table of the row's nibble, and the weights are split
// into nibbles once for all rows of the block. A panel is 32 channels, interleaved by single bytes: a vector
// holds the same 8 values of 32 channels, and a byte is the running sum of one channel.
//
//     instruction, 256 bits          port (Intel)       per 256 binary MACs
//     vbroadcasti128 ymm, m128       load               2 / panels in the block
//     vpand, vpsrlw                  p0, p1(, p5)       3 / rows in the block
//     vpshufb                        p1, p5             2
//     vpaddb                         p0, p1, p5         2
//
// 4 + 3 / rows operations on three ports: with 2 rows at most 256 · 3 / 5.5 = 140 binary MACs a cycle; the
// usual way cannot pass 96. Sums of bytes are moved to 16 bits every 31 steps (31 · 8 = 248 < 256), and those
// to 32 bits in time.
#include <immintrin.h>

#include "base/bits.h"
#include "bitsliced.h"
#include "contract.h"
#include "lookup.h"
#include "shared.h"

namespace binarynet {
namespace {

constexpr size_t kLanes = 32;
constexpr size_t kByteSteps = 31;                 // 8 · 31 fits a byte
constexpr size_t kShortSteps = kByteSteps * 256;  // 8 · 7936 fits 16 bits
constexpr size_t kRows = 16;                      // that meet a stretch of weights while it is in L1

struct Table {
    alignas(64) uint8_t of[16][16];

    constexpr Table() : of() {
        for (int a = 0; a < 16; ++a)
            for (int w = 0; w < 16; ++w)
                for (int x = a ^ w; x; x &= x - 1) ++of[a][w];
    }
};
constexpr Table table;

// One vector of sums per row and panel, in memory: 32 channels as 16 or 32 bits. unpacklo and unpackhi put
// the channels of a vector of bytes in the order 0–7 16–23 | 8–15 24–31, which widen() undoes.
struct Sums {
    alignas(64) uint16_t narrow[kLanes];
    alignas(64) int32_t wide[kLanes];
};

// Steps [begin, end) of at most 31 bytes of depth: R rows × P panels.
template <int R, int P>
__attribute__((noinline)) void stretch(const uint8_t* const (&a)[R], const uint8_t* w, size_t panel_bytes,
                                       size_t begin, size_t end, Sums (*sums)[P]) {
    const __m256i low = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
    __m256i bytes[R][P];
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) {
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) bytes[r][p] = zero;
    }
    for (size_t k = begin; k < end; ++k) {
        __m256i first[R], second[R];
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            const size_t value = a[r][k];
            first[r] = _mm256_broadcastsi128_si256(
                _mm_load_si128(reinterpret_cast<const __m128i*>(table.of[value & 15])));
            second[r] = _mm256_broadcastsi128_si256(
                _mm_load_si128(reinterpret_cast<const __m128i*>(table.of[value >> 4])));
        }
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) {
            const __m256i weight =
                _mm256_load_si256(reinterpret_cast<const __m256i*>(w + p * panel_bytes + k * kLanes));
            const __m256i nibble = _mm256_and_si256(weight, low);
            const __m256i other = _mm256_and_si256(_mm256_srli_epi16(weight, 4), low);
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) {
                bytes[r][p] = _mm256_add_epi8(bytes[r][p], _mm256_shuffle_epi8(first[r], nibble));
                bytes[r][p] = _mm256_add_epi8(bytes[r][p], _mm256_shuffle_epi8(second[r], other));
                // One panel after the other: interleaved, five of the eight sums would not fit the 16
                // registers.
                __asm__ volatile("" : "+x"(bytes[r][p]));
            }
        }
    }
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) {
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) {
            __m256i* sum = reinterpret_cast<__m256i*>(sums[r][p].narrow);
            sum[0] = _mm256_add_epi16(sum[0], _mm256_unpacklo_epi8(bytes[r][p], zero));
            sum[1] = _mm256_add_epi16(sum[1], _mm256_unpackhi_epi8(bytes[r][p], zero));
        }
    }
}

inline void widen(Sums& s) {
    const __m256i* narrow = reinterpret_cast<const __m256i*>(s.narrow);
    __m256i* wide = reinterpret_cast<__m256i*>(s.wide);
    const __m128i quarter[4] = {_mm256_castsi256_si128(narrow[0]), _mm256_castsi256_si128(narrow[1]),
                                _mm256_extracti128_si256(narrow[0], 1),
                                _mm256_extracti128_si256(narrow[1], 1)};
    for (int i = 0; i < 4; ++i) wide[i] = _mm256_add_epi32(wide[i], _mm256_cvtepu16_epi32(quarter[i]));
    __builtin_memset(s.narrow, 0, sizeof(s.narrow));
}

inline void twice(Sums& s, bool narrow) {  // Horner's rule over the planes
    if (narrow)
        for (size_t j = 0; j < kLanes; ++j) s.narrow[j] = static_cast<uint16_t>(s.narrow[j] * 2);
    else
        for (size_t j = 0; j < kLanes; ++j) s.wide[j] *= 2;
}

// S of `rows` ≤ 16 rows × P panels → sums[r][p].wide.
template <int P>
void weighted_popcount(const Gemm& g, size_t row, size_t rows, size_t panel, Sums (*sums)[P]) {
    const size_t panel_bytes = g.units * kLanes;
    const uint8_t* w = g.panels + panel * panel_bytes;
    const auto for_all = [&](auto&& body) {
        for (size_t r = 0; r < rows; ++r)
            for (int p = 0; p < P; ++p) body(sums[r][p]);
    };
    // A first layer on bytes is short: all of S fits 16 bits, and the planes are summed there.
    const bool narrow = (size_t{1} << g.planes) * g.units * 8 < 65536;
    __builtin_memset(sums, 0, rows * sizeof(*sums));
    for (int n = g.planes - 1; n >= 0; --n) {
        if (n != g.planes - 1) for_all([&](Sums& s) { twice(s, narrow); });
        const uint8_t* a[kRows];
        for (size_t r = 0; r < rows; ++r)
            a[r] = reinterpret_cast<const uint8_t*>(g.rows + (row + r) * g.row_stride + n * g.words);
        for (size_t start = 0; start < g.units; start += kShortSteps) {
            const size_t stop = start + kShortSteps < g.units ? start + kShortSteps : g.units;
            for (size_t begin = start; begin < stop; begin += kByteSteps) {
                const size_t end = begin + kByteSteps < stop ? begin + kByteSteps : stop;
                size_t r = 0;
                for (; r + 2 <= rows; r += 2)
                    stretch<2, P>({a[r], a[r + 1]}, w, panel_bytes, begin, end, sums + r);
                if (r < rows) stretch<1, P>({a[r]}, w, panel_bytes, begin, end, sums + r);
            }
            if (!narrow || n == 0) for_all(widen);
        }
    }
}

inline const int32_t* terms_of(const Gemm& g, size_t row, size_t panel) {
    return g.terms + (g.classes ? g.classes[row] * g.term_stride : 0) + panel * kLanes;
}

inline __m256i load8(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

void store(const GemmBits& g, size_t row, size_t panel, const Sums& sums) {
    const int32_t* limits = terms_of(g, row, panel);
    uint8_t* out = g.out + row * g.out_stride + panel * 4;
    for (int i = 0; i < 4; ++i) {
        const __m256i above = _mm256_cmpgt_epi32(load8(sums.wide + 8 * i), load8(limits + 8 * i));
        out[i] =
            static_cast<uint8_t>(~_mm256_movemask_ps(_mm256_castsi256_ps(above)) ^ g.flip[panel * 4 + i]);
    }
}

void store(const GemmI32& g, size_t row, size_t panel, const Sums& sums) {
    const int32_t* bases = terms_of(g, row, panel);
    int32_t* out = g.out + row * g.out_stride + panel * kLanes;
    const size_t left = g.channels - panel * kLanes;
    const __m128i shift = _mm_cvtsi32_si128(g.shift);
    alignas(32) int32_t acc[kLanes];
    int32_t* const target = left < kLanes ? acc : out;
    for (int i = 0; i < 4; ++i) {
        const __m256i sum = _mm256_sll_epi32(load8(sums.wide + 8 * i), shift);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + 8 * i),
                            _mm256_sub_epi32(load8(bases + 8 * i), sum));
    }
    if (left < kLanes) __builtin_memcpy(out, acc, left * sizeof(int32_t));
}

template <int P, class Args>
void stream(const Args& g, size_t panel) {
    Sums sums[kRows][P];
    for (size_t row = 0; row < g.row_count; row += kRows) {
        const size_t left = g.row_count - row, rows = left < kRows ? left : kRows;
        weighted_popcount<P>(g, row, rows, panel, sums);
        for (size_t r = 0; r < rows; ++r)
            for (int p = 0; p < P; ++p) store(g, row + r, panel + p, sums[r][p]);
    }
}

template <class Args>
void gemm(const Args& g) {
    size_t panel = g.panel_begin;
    for (; panel + 4 <= g.panel_end; panel += 4) stream<4>(g, panel);
    if (panel + 2 <= g.panel_end) {
        stream<2>(g, panel);
        panel += 2;
    }
    if (panel < g.panel_end) stream<1>(g, panel);
}

// Bit n of every byte is moved to its top, where vpmovmskb collects it.
void split(const uint8_t* codes, size_t count, int planes, uint64_t* out, size_t words) {
    for (size_t k = 0; k < words; ++k) {
        alignas(32) uint8_t last[kWord] = {};
        const uint8_t* from = codes + k * kWord;
        if (count - k * kWord < kWord) {
            __builtin_memcpy(last, from, count - k * kWord);
            from = last;
        }
        const __m256i half[2] = {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
                                 _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))};
        for (int n = 0; n < planes; ++n) {
            const __m128i up = _mm_cvtsi32_si128(7 - n);
            const uint32_t bits[2] = {
                static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_sll_epi16(half[0], up))),
                static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_sll_epi16(half[1], up)))};
            out[n * words + k] = bits[0] | uint64_t{bits[1]} << 32;
        }
    }
}

// 8 comparisons at a time for whole groups of 8, one at a time for the rest.
template <typename T, class Reached>
inline void threshold(const T* x, const T* t, const uint64_t* flip, size_t channels, uint64_t* out,
                      Reached reached) {
    for (size_t k = 0; k < words_for(channels); ++k) {
        const size_t end = channels - k * kWord < kWord ? channels - k * kWord : kWord;
        const T *xs = x + k * kWord, *ts = t + k * kWord;
        uint64_t word = 0;
        size_t i = 0;
        for (; i + 8 <= end; i += 8) word |= uint64_t{reached(xs + i, ts + i)} << i;
        for (; i < end; ++i) word |= uint64_t{xs[i] >= ts[i]} << i;
        out[k] = word ^ flip[k];
    }
}

void threshold_i32(const int32_t* x, const int32_t* t, const uint64_t* flip, size_t channels, uint64_t* out) {
    threshold(x, t, flip, channels, out, [](const int32_t* xs, const int32_t* ts) -> uint8_t {
        const __m256i below = _mm256_cmpgt_epi32(load8(ts), load8(xs));
        return static_cast<uint8_t>(~_mm256_movemask_ps(_mm256_castsi256_ps(below)));
    });
}

void threshold_f32(const float* x, const float* t, const uint64_t* flip, size_t channels, uint64_t* out) {
    threshold(x, t, flip, channels, out, [](const float* xs, const float* ts) -> uint8_t {
        const __m256 reached = _mm256_cmp_ps(_mm256_loadu_ps(xs), _mm256_loadu_ps(ts), _CMP_GE_OQ);
        return static_cast<uint8_t>(_mm256_movemask_ps(reached));
    });
}

// vpermps looks 8 channels up at once, in 8 numbers. Of ±1 weights half a table is enough: with all four bits
// flipped the sum is the negative, so bit 3 flips the other three and the sign. Else the other half is looked
// up too, and bit 3 says which.
template <bool Signed>
struct Stretch {
    template <int R>
    static void run(const float (*tables)[kSelectTables][16], const uint8_t* w, size_t units,
                    float (&sums)[R][kLanes]) {
        for (size_t part = 0; part < kLanes; part += 8) {
            __m256 sum[R][2];
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
            for (size_t k = 0; k < units; ++k) {
                const __m256i weight = _mm256_cvtepu8_epi32(
                    _mm_loadl_epi64(reinterpret_cast<const __m128i*>(w + k * kLanes + part)));
                BINARYNET_UNROLL
                for (int q = 0; q < 2; ++q) {
                    const __m256i bits = q ? _mm256_srli_epi32(weight, 4) : weight;
                    const __m256i top = _mm256_slli_epi32(bits, 28);
                    const __m256i index = Signed ? _mm256_xor_si256(bits, _mm256_srai_epi32(top, 31)) : bits;
                    const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(top), _mm256_set1_ps(-0.0f));
                    BINARYNET_UNROLL
                    for (int r = 0; r < R; ++r) {
                        const float* table = tables[r][k * 2 + static_cast<size_t>(q)];
                        const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(table), index);
                        __m256 found;
                        if constexpr (Signed)
                            found = _mm256_xor_ps(low, sign);
                        else
                            found = _mm256_blendv_ps(
                                low, _mm256_permutevar8x32_ps(_mm256_load_ps(table + 8), index), sign);
                        sum[r][q] = _mm256_add_ps(sum[r][q], found);
                    }
                }
            }
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) _mm256_store_ps(sums[r] + part, _mm256_add_ps(sum[r][0], sum[r][1]));
        }
    }
};

void gemm_select(const GemmSelect& g) {
    if (g.zero == -g.one)
        select_all<kLanes, 1, Stretch<true>>(g);
    else
        select_all<kLanes, 1, Stretch<false>>(g);
}

constexpr Price price_list[] = {
#include "costs/avx2.inc"
};
static_assert(complete(price_list), "costs/avx2.inc names every count of counts.inc once");
constexpr Prices prices = by_count(price_list);

constexpr Price intel_list[] = {
#include "costs/avx2-intel.inc"
};
static_assert(complete(intel_list), "costs/avx2-intel.inc names every count of counts.inc once");
constexpr Prices intel_prices = by_count(intel_list);

}  // namespace

extern const KernelTable avx2_kernels = {
    .panel = {kLanes, 1},
    .gemm_bits = gemm<GemmBits>,
    .gemm_i32 = gemm<GemmI32>,
    .split = split,
    .threshold_i32 = threshold_i32,
    .threshold_f32 = threshold_f32,
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
    .lookup_bits = lookup_bits,
    .lookup_i32 = lookup_i32,
    .lookup = lookup_shape,
    .prices = &prices,
    .intel_prices = &intel_prices,
    .popcount_unit = "avx2 popcount",
    .vertical_unit = "avx2 adders",
};

}  // namespace binarynet
