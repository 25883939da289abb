// Codes × ±1 by look-ups (contract.h), for the AVX-512 and AVX2 files: each compiles it with its own flags.
//
//     512 bits, Zen 5    per cycle     per 160 products     what else multiplies bytes
//     vpermw             2             1                    vpdpbusd: 64 products, 1 a cycle
//     vpaddw             4             1                    popcount of eight planes: 512 / 24 an operation
//
// AVX-512: five codes have 32 sums, each at most 1275, which are one register of 16-bit lanes. vpermw looks
// up 32 channels at once by the lowest 5 bits of each lane, so a lane of weights is three look-ups and two
// shifts. 51 sums fit 16 bits unsigned.
//
// AVX2: four codes have 16 sums, which vpshufb looks up in bytes: of the low halves of the codes and of the
// high ones apart, each at most 60. Four of them fit a byte; then low + 16 · high becomes 16 bits
// (vpmaddubsw), of which 16 fit.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include <type_traits>

#include "base/bits.h"
#include "contract.h"

namespace binarynet {
namespace {

constexpr size_t kLookupChannels = 32, kLookupBytes = 64;
#if defined(__AVX512F__)
constexpr size_t kLookupUnits = kShortLookup / 15;      // whose sums fit 16 bits
constexpr size_t kLookupGroups = 3, kLookupTable = 64;  // of a unit; of a group
constexpr LookupShape lookup_shape = {kLookupChannels, 15, 2, kLookupGroups * kLookupTable};
#else
constexpr size_t kLookupUnits = kShortLookup / 16;
constexpr size_t kLookupGroups = 4, kLookupTable = 32;
constexpr LookupShape lookup_shape = {kLookupChannels, 16, 1, kLookupGroups * kLookupTable};
#endif
constexpr size_t kLookupValues = lookup_shape.values;

#if defined(__AVX512F__)
constexpr int kLookupPanels = 4;
// 16-bit sums of the channels of a panel: in order, or as unpacklo and unpackhi of bytes leave them.
struct ShortSums {
    __m512i of;
};
#else
constexpr int kLookupPanels = 1;
struct ShortSums {
    __m256i of[2];
};
#endif

// The tables of the `left` or kLookupValues codes at x, kLookupRows tables apart. Their sum.
inline int32_t fill_tables(const uint8_t* x, size_t left, uint8_t* table) {
#if defined(__AVX512F__)
    // Bit k of entry m says whether code k counts: pairs of codes × pairs of bits, of which the last has one.
    alignas(64) static constexpr auto kPairs = [] {
        struct {
            uint8_t bits[3][64], codes[kLookupGroups][3][64];
        } pairs{};
        for (size_t pair = 0; pair < 3; ++pair)
            for (size_t i = 0; i < 64; ++i) {
                const size_t k = 2 * pair + i % 2;
                pairs.bits[pair][i] = k < 5 ? i / 2 >> k & 1 : 0;
                for (size_t group = 0; group < kLookupGroups; ++group)
                    pairs.codes[group][pair][i] = static_cast<uint8_t>(k < 5 ? 5 * group + k : 0x80);
            }
        return pairs;
    }();
    constexpr __mmask16 kAll = 0xffff;
    const auto exist = static_cast<__mmask16>(low_bits(left < kLookupValues ? left : kLookupValues));
    const __m128i one = _mm_maskz_loadu_epi8(exist, x);
    const __m512i codes = _mm512_maskz_broadcast_i32x4(kAll, one);
    for (size_t group = 0; group < kLookupGroups; ++group, table += kLookupRows * kLookupTable) {
        const auto products = [&](int pair) {
            return _mm512_maddubs_epi16(
                _mm512_shuffle_epi8(codes, _mm512_load_si512(kPairs.codes[group][pair])),
                _mm512_load_si512(kPairs.bits[pair]));
        };
        _mm512_store_si512(table, _mm512_add_epi16(_mm512_add_epi16(products(0), products(1)), products(2)));
    }
    const __m128i sums = _mm_sad_epu8(one, _mm_setzero_si128());
    return _mm_extract_epi16(sums, 0) + _mm_extract_epi16(sums, 4);
#else
    int32_t all = 0;
    uint8_t last[kLookupValues] = {};
    if (left < kLookupValues) {
        __builtin_memcpy(last, x, left);
        x = last;
    }
    alignas(16) static constexpr auto kBits = [] {
        struct {
            uint8_t of[4][16];
        } bits{};
        for (size_t k = 0; k < 4; ++k)
            for (size_t m = 0; m < 16; ++m) bits.of[k][m] = m >> k & 1 ? 255 : 0;
        return bits;
    }();
    const __m128i half = _mm_set1_epi8(15);
    for (size_t group = 0; group < kLookupGroups; ++group, x += 4, table += kLookupRows * kLookupTable) {
        __m128i low = _mm_setzero_si128(), high = low;
        BINARYNET_UNROLL
        for (int k = 0; k < 4; ++k) {
            const __m128i code = _mm_and_si128(_mm_set1_epi8(static_cast<char>(x[k])),
                                               _mm_load_si128(reinterpret_cast<const __m128i*>(kBits.of[k])));
            low = _mm_add_epi8(low, _mm_and_si128(code, half));
            high = _mm_add_epi8(high, _mm_and_si128(_mm_srli_epi16(code, 4), half));
        }
        _mm_store_si128(reinterpret_cast<__m128i*>(table), low);
        _mm_store_si128(reinterpret_cast<__m128i*>(table + 16), high);
        all += x[0] + x[1] + x[2] + x[3];
    }
    return all;
#endif
}

// Units [begin, end), at most kLookupUnits: R rows × P panels.
template <int R, int P>
inline __attribute__((always_inline)) void look_up(const Lookup& g, const uint8_t* w, size_t begin,
                                                   size_t end, ShortSums (&sum)[R][P]) {
    const uint8_t* table = g.tables + begin * kLookupGroups * kLookupRows * kLookupTable;
#if defined(__AVX512F__)
    constexpr __mmask32 kAll = ~uint32_t{0};  // GCC 12 warns of what plain intrinsics leave undefined
    const size_t panel_bytes = g.units * kLookupBytes;
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) {
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) sum[r][p].of = _mm512_setzero_si512();
    }
    for (size_t k = begin; k < end; ++k) {
        __m512i index[P];
        BINARYNET_UNROLL
        for (int p = 0; p < P; ++p) index[p] = _mm512_load_si512(w + p * panel_bytes + k * kLookupBytes);
        BINARYNET_UNROLL
        for (size_t q = 0; q < kLookupGroups; ++q, table += kLookupRows * kLookupTable) {
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) {
                const __m512i of_row = _mm512_load_si512(table + r * kLookupTable);
                BINARYNET_UNROLL
                for (int p = 0; p < P; ++p)
                    sum[r][p].of = _mm512_add_epi16(sum[r][p].of,
                                                    _mm512_maskz_permutexvar_epi16(kAll, index[p], of_row));
            }
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) index[p] = _mm512_maskz_srli_epi16(kAll, index[p], 5);
        }
    }
#else
    static_assert(P == 1);
    const __m256i half = _mm256_set1_epi8(15), weigh = _mm256_set1_epi16(0x1001);
    BINARYNET_UNROLL
    for (int r = 0; r < R; ++r) sum[r][0].of[0] = sum[r][0].of[1] = _mm256_setzero_si256();
    for (size_t k = begin; k < end; ++k) {
        __m256i low[R], high[R];
        BINARYNET_UNROLL
        for (size_t q = 0; q < kLookupGroups; ++q, table += kLookupRows * kLookupTable) {
            const auto* from = reinterpret_cast<const __m256i*>(w + k * kLookupBytes + q / 2 * 32);
            __m256i index = _mm256_load_si256(from);
            if (q % 2) index = _mm256_srli_epi16(index, 4);
            index = _mm256_and_si256(index, half);
            BINARYNET_UNROLL
            for (int r = 0; r < R; ++r) {
                const auto* of_row = reinterpret_cast<const __m128i*>(table + r * kLookupTable);
                const auto found = [&](const __m128i* at) {
                    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(at)), index);
                };
                low[r] = q ? _mm256_add_epi8(low[r], found(of_row)) : found(of_row);
                high[r] = q ? _mm256_add_epi8(high[r], found(of_row + 1)) : found(of_row + 1);
            }
        }
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            const auto wide = [&](__m256i both) { return _mm256_maddubs_epi16(both, weigh); };
            __m256i* to = sum[r][0].of;
            to[0] = _mm256_add_epi16(to[0], wide(_mm256_unpacklo_epi8(low[r], high[r])));
            to[1] = _mm256_add_epi16(to[1], wide(_mm256_unpackhi_epi8(low[r], high[r])));
        }
    }
#endif
}

// to += sum
inline void widen_sums(const ShortSums& sum, int32_t* to) {
#if defined(__AVX512F__)
    for (int i = 0; i < 2; ++i, to += 16) {
        const __m256i half = i ? _mm512_maskz_extracti64x4_epi64(0xf, sum.of, 1)
                               : _mm512_maskz_extracti64x4_epi64(0xf, sum.of, 0);
        const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, half);
        _mm512_store_si512(to, _mm512_add_epi32(wide, _mm512_load_si512(to)));
    }
#else
    for (int i = 0; i < 4; ++i, to += 8) {  // channels 0–7 16–23 | 8–15 24–31
        const __m256i both = sum.of[i % 2];
        const __m256i wide =
            _mm256_cvtepu16_epi32(i / 2 ? _mm256_extracti128_si256(both, 1) : _mm256_castsi256_si128(both));
        auto* at = reinterpret_cast<__m256i*>(to);
        _mm256_store_si256(at, _mm256_add_epi32(wide, _mm256_load_si256(at)));
    }
#endif
}

// (s − half ≥ limit) of the channels of a panel, where all of s fits 16 bits.
inline uint32_t reached(const ShortSums& sum, int half, const int16_t* limits) {
#if defined(__AVX512F__)
    const __m512i s = _mm512_sub_epi16(sum.of, _mm512_set1_epi16(static_cast<short>(half)));
    return _mm512_cmpge_epi16_mask(s, _mm512_loadu_si512(limits));
#else
    __m256i below[2];
    for (int i = 0; i < 2; ++i) {
        const auto part = [&](int k) {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(limits + 8 * i + 16 * k));
        };
        const __m256i limit = _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
        const __m256i s = _mm256_sub_epi16(sum.of[i], _mm256_set1_epi16(static_cast<short>(half)));
        below[i] = _mm256_cmpgt_epi16(limit, s);
    }
    return static_cast<uint32_t>(~_mm256_movemask_epi8(_mm256_packs_epi16(below[0], below[1])));
#endif
}

// Channels of a panel, a register at a time: d = 2 s − all.
inline void lookup_store(const LookupBits& g, size_t row, size_t panel, const int32_t* sums, int32_t all) {
    const int32_t* terms =
        g.terms + (g.classes ? g.classes[row] * g.term_stride : 0) + panel * kLookupChannels;
    uint8_t* out = g.out + row * g.out_stride + panel * 4;
    uint32_t bits = 0, flip;
    __builtin_memcpy(&flip, g.flip + panel * 4, 4);
#if defined(__AVX512F__)
    for (int i = 0; i < 2; ++i) {
        const __m512i s = _mm512_load_si512(sums + 16 * i);
        const __m512i d = _mm512_sub_epi32(_mm512_add_epi32(s, s), _mm512_set1_epi32(all));
        bits |= uint32_t{_mm512_cmpge_epi32_mask(d, _mm512_loadu_si512(terms + 16 * i))} << 16 * i;
    }
#else
    for (int i = 0; i < 4; ++i) {
        const __m256i s = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + 8 * i));
        const __m256i d = _mm256_sub_epi32(_mm256_add_epi32(s, s), _mm256_set1_epi32(all));
        const __m256i t = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(terms + 8 * i));
        const __m256i below = _mm256_cmpgt_epi32(t, d);
        bits |= static_cast<uint32_t>(~_mm256_movemask_ps(_mm256_castsi256_ps(below)) & 255) << 8 * i;
    }
#endif
    bits ^= flip;
    __builtin_memcpy(out, &bits, 4);
}

inline void lookup_store(const LookupI32& g, size_t row, size_t panel, const int32_t* sums, int32_t all) {
    const size_t first = panel * kLookupChannels, left = g.channels - first;
    const int32_t* terms = g.terms + (g.classes ? g.classes[row] * g.term_stride : 0) + first;
    int32_t* out = g.out + row * g.out_stride + first;
    const size_t lanes = left < kLookupChannels ? left : kLookupChannels;
    for (size_t c = 0; c < lanes; ++c) {
        const uint32_t d = 2 * static_cast<uint32_t>(sums[c]) - static_cast<uint32_t>(all);
        out[c] = static_cast<int32_t>(static_cast<uint32_t>(terms[c]) + (d << g.shift));
    }
}

template <int R, int P, class Args>
__attribute__((noinline)) void lookup_panels(const Args& g, size_t row, size_t panel, const int32_t* all) {
    const uint8_t* w = g.panels + panel * g.units * kLookupBytes;
    if constexpr (std::is_same_v<Args, LookupBits>)
        if (g.short_limits) {
            ShortSums sum[R][P];
            look_up<R, P>(g, w, 0, g.units, sum);
            for (int r = 0; r < R; ++r) {
                const size_t at = row + static_cast<size_t>(r), parity = static_cast<size_t>(all[r] & 1);
                const int16_t* limits = g.short_limits + panel * kLookupChannels +
                                        (2 * (g.classes ? g.classes[at] : 0) + parity) * g.term_stride;
                BINARYNET_UNROLL
                for (size_t p = 0; p < P; ++p) {
                    uint32_t flip;
                    __builtin_memcpy(&flip, g.flip + (panel + p) * 4, 4);
                    const uint32_t bits =
                        reached(sum[r][p], all[r] >> 1, limits + p * kLookupChannels) ^ flip;
                    __builtin_memcpy(g.out + at * g.out_stride + (panel + p) * 4, &bits, 4);
                }
            }
            return;
        }
    alignas(64) int32_t sums[R][P][kLookupChannels] = {};
    for (size_t begin = 0; begin < g.units; begin += kLookupUnits) {
        ShortSums sum[R][P];
        look_up<R, P>(g, w, begin, begin + kLookupUnits < g.units ? begin + kLookupUnits : g.units, sum);
        BINARYNET_UNROLL
        for (int r = 0; r < R; ++r) {
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p) widen_sums(sum[r][p], sums[r][p]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (size_t p = 0; p < P; ++p)
            lookup_store(g, row + static_cast<size_t>(r), panel + p, sums[r][p], all[r]);
}

template <int R, class Args>
void lookup_rows(const Args& g, size_t row) {
    int32_t all[R];
    for (int r = 0; r < R; ++r) {
        const uint8_t* x = g.rows + (row + static_cast<size_t>(r)) * g.row_stride;
        uint8_t* table = g.tables + static_cast<size_t>(r) * kLookupTable;
        all[r] = 0;
        for (size_t k = 0; k < g.units; ++k, x += kLookupValues) {
            all[r] += fill_tables(x, g.depth - k * kLookupValues, table);
            table += kLookupGroups * kLookupRows * kLookupTable;
        }
    }
    size_t panel = g.panel_begin;
    for (; panel + kLookupPanels <= g.panel_end; panel += kLookupPanels)
        lookup_panels<R, kLookupPanels>(g, row, panel, all);
    for (; panel < g.panel_end; ++panel) lookup_panels<R, 1>(g, row, panel, all);
}

template <class Args>
void lookup_all(const Args& g) {
    static_assert(kLookupRows == 4);
    size_t row = 0;
    for (; row + 4 <= g.row_count; row += 4) lookup_rows<4>(g, row);
    if (row + 2 <= g.row_count) {
        lookup_rows<2>(g, row);
        row += 2;
    }
    if (row < g.row_count) lookup_rows<1>(g, row);
}

inline void lookup_bits(const LookupBits& g) {
    lookup_all(g);
}
inline void lookup_i32(const LookupI32& g) {
    lookup_all(g);
}

}  // namespace
}  // namespace binarynet
