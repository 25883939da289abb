// compile (.*):
//
// Plain C++: the kernel for every machine, and the one to read first. A panel is 8 channels, interleaved by
// words, so that the loops over the 8 lanes have no dependence between lanes and the compiler turns them into
// vectors.
//
// Base x86-64 has no vector popcount and no popcnt, so bits are counted by the tree of partial sums (2, 4, 8
// bits), with the sums of 8 bits kept as bytes for up to 31 words (31 · 8 = 248 < 256) before they are added
// across the word. 12 operations a word; where the compiler has a popcount instruction (aarch64 cnt,
// -mpopcnt) it is used instead.
#include "base/bits.h"
#include "bitsliced.h"
#include "contract.h"
#include "shared.h"

namespace binarynet {
namespace {

constexpr size_t kLanes = 8;

#if defined(__aarch64__) || defined(__POPCNT__)

void count_row(const uint64_t* a, const uint64_t* panel, size_t units, uint32_t* sum) {
    for (size_t k = 0; k < units; ++k)
        for (size_t j = 0; j < kLanes; ++j)
            sum[j] += static_cast<uint32_t>(__builtin_popcountll(a[k] ^ panel[k * kLanes + j]));
}

#else

constexpr uint64_t kTwos = 0x5555555555555555, kFours = 0x3333333333333333, kBytes = 0x0f0f0f0f0f0f0f0f,
                   kPairs = 0x00ff00ff00ff00ff;

void count_row(const uint64_t* a, const uint64_t* panel, size_t units, uint32_t* sum) {
    for (size_t begin = 0; begin < units; begin += 31) {
        const size_t end = begin + 31 < units ? begin + 31 : units;
        uint64_t bytes[kLanes] = {};
        for (size_t k = begin; k < end; ++k) {
            for (size_t j = 0; j < kLanes; ++j) {
                uint64_t x = a[k] ^ panel[k * kLanes + j];
                x -= (x >> 1) & kTwos;
                x = (x & kFours) + ((x >> 2) & kFours);
                bytes[j] += (x + (x >> 4)) & kBytes;
            }
        }
        for (size_t j = 0; j < kLanes; ++j) {
            uint64_t x = (bytes[j] & kPairs) + ((bytes[j] >> 8) & kPairs);
            x += x >> 16;
            sum[j] += static_cast<uint32_t>((x + (x >> 32)) & 0xffff);
        }
    }
}

#endif

// S of one row and one panel. Planes from the top, by Horner's rule: S = 2 · S + popcounts of the next plane.
void weighted_popcount(const Gemm& g, size_t row, size_t panel, uint32_t* sum) {
    const uint64_t* a = g.rows + row * g.row_stride;
    const uint64_t* w = reinterpret_cast<const uint64_t*>(g.panels) + panel * g.units * kLanes;
    for (size_t j = 0; j < kLanes; ++j) sum[j] = 0;
    for (int n = g.planes - 1; n >= 0; --n) {
        for (size_t j = 0; j < kLanes; ++j) sum[j] *= 2;
        count_row(a + static_cast<size_t>(n) * g.words, w, g.units, sum);
    }
}

const int32_t* terms_of(const Gemm& g, size_t row, size_t panel) {
    return g.terms + (g.classes ? g.classes[row] * g.term_stride : 0) + panel * kLanes;
}

void gemm_bits(const GemmBits& g) {
    for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
        for (size_t row = 0; row < g.row_count; ++row) {
            uint32_t sum[kLanes];
            weighted_popcount(g, row, panel, sum);
            const int32_t* limits = terms_of(g, row, panel);
            unsigned bits = 0;
            for (size_t j = 0; j < kLanes; ++j)
                bits |= unsigned(static_cast<int32_t>(sum[j]) <= limits[j]) << j;
            g.out[row * g.out_stride + panel] = static_cast<uint8_t>(bits ^ g.flip[panel]);
        }
    }
}

void gemm_i32(const GemmI32& g) {
    for (size_t panel = g.panel_begin; panel < g.panel_end; ++panel) {
        const size_t left = g.channels - panel * kLanes, lanes = left < kLanes ? left : kLanes;
        for (size_t row = 0; row < g.row_count; ++row) {
            uint32_t sum[kLanes];
            weighted_popcount(g, row, panel, sum);
            const int32_t* bases = terms_of(g, row, panel);
            int32_t* out = g.out + row * g.out_stride + panel * kLanes;
            for (size_t j = 0; j < lanes; ++j)
                out[j] = static_cast<int32_t>(static_cast<uint32_t>(bases[j]) - (sum[j] << g.shift));
        }
    }
}

void split(const uint8_t* codes, size_t count, int planes, uint64_t* out, size_t words) {
    for (size_t k = 0; k < words; ++k) {
        const size_t left = count - k * kWord, values = left < kWord ? left : kWord;
        for (int n = 0; n < planes; ++n) {
            uint64_t word = 0;
            for (size_t i = 0; i < values; ++i) word |= uint64_t((codes[k * kWord + i] >> n) & 1) << i;
            out[static_cast<size_t>(n) * words + k] = word;
        }
    }
}

template <typename T>
void threshold(const T* x, const T* t, const uint64_t* flip, size_t channels, uint64_t* out) {
    for (size_t k = 0; k < words_for(channels); ++k) {
        const size_t left = channels - k * kWord, values = left < kWord ? left : kWord;
        uint64_t word = 0;
        for (size_t i = 0; i < values; ++i) word |= uint64_t(x[k * kWord + i] >= t[k * kWord + i]) << i;
        out[k] = word ^ flip[k];
    }
}

struct Stretch {
    template <int R>
    static void run(const float (*tables)[kSelectTables][16], const uint8_t* w, size_t units,
                    float (&sums)[R][kLanes]) {
        for (int r = 0; r < R; ++r)
            for (size_t j = 0; j < kLanes; ++j) sums[r][j] = 0;
        for (size_t k = 0; k < units; ++k) {
            uint64_t lanes[kLanes];
            __builtin_memcpy(lanes, w + k * sizeof lanes, sizeof lanes);
            for (size_t q = 0; q < 16; ++q)
                for (int r = 0; r < R; ++r)
                    for (size_t j = 0; j < kLanes; ++j)
                        sums[r][j] += tables[r][k * 16 + q][lanes[j] >> 4 * q & 15];
        }
    }
};

constexpr Price price_list[] = {
#include "costs/portable.inc"
};
static_assert(complete(price_list), "costs/portable.inc names every count of counts.inc once");
constexpr Prices prices = by_count(price_list);

}  // namespace

extern const KernelTable portable_kernels = {
    .panel = {kLanes, 8},
    .gemm_bits = gemm_bits,
    .gemm_i32 = gemm_i32,
    .split = split,
    .threshold_i32 = threshold<int32_t>,
    .threshold_f32 = threshold<float>,
    .levels_i32 = count_levels<int32_t>,
    .levels_f32 = count_levels<float>,
    .gemm_select = select_all<kLanes, 8, Stretch>,
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
