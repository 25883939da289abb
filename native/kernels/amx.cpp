// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512vbmi -mavx512vpopcntdq -mgfni -mamx-tile -mamx-int8
//
// The matrix unit of Sapphire Rapids and later: 8 tile registers of 16 rows × 64 bytes. With u8 codes a (a
// bit is 0 or 1, a byte stays a byte: all planes in one pass) and weights as ±1, 1 − 2 w,
//
//     S = Σ_n 2^n · popcount(a.plane[n] ^ w) = (2^P − 1) · popcount(w) + Σ a · (1 − 2 w)
//
//     instruction                latency  port (Intel)        per 4 tiles = 32 rows × 32 channels × 64 values
//     tdpbusd tmm, tmm, tmm        52     matrix unit         4, each one cycle a row: 64 cycles
//     tileloadd(t1) tmm, m512×16    –     load, 2 rows/cycle  4: 32 cycles
//     vgf2p8affineqb zmm           3      p0                  32 / strips in the block of rows
//     vmovdqa64 m512, zmm          –      store, 1/cycle      32 / strips
//
// The matrix unit is the bottleneck: 16 · 16 · 64 / 16 = 1024 MACs a cycle of its own clock.
//
// Weights come in the same panels as in avx512.cpp, 16 channels interleaved by 4 bytes, so both files serve
// one network. A 64-byte unit of a panel becomes 8 rows of a tile by 8 affine maps of bytes over GF(2): map n
// copies bit n into bits 1 … 7 and sets bit 0, which is +1 for 0 and −1 for 1. That puts value
// 32 h + 8 q + n of a step at byte 32 h + 4 n + q of the tile's depth, and rows are expanded in the same
// order.
//
// Blocking. A block of rows is expanded once into 512 KB of L2. For two panels at a time, up to 12 steps
// of their depth, 24 KB, are expanded into L1 and meet every strip of rows, which streams from L2 by
// tileloaddt1: with that hint it does not push the weights out of L1. Sums of unfinished depth wait in
// memory. Up to 18 steps are one block all the same, which has no such sums. Tiles are as high as the rows
// divide evenly (100 rows: 8 tiles of 13), because the matrix unit's time is the rows it is given.
#include <immintrin.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "amx.h"
#include "amx_strips.h"

namespace binarynet {

extern const KernelTable avx512_kernels;  // the same panels

namespace {

constexpr size_t kRowBytes = 512 << 10;               // of a block of rows
constexpr size_t kMaxRows = 8 * kStripRows;           // of a block of rows: 32 KB of sums
constexpr size_t kMaxDepth = kRowBytes / kStripRows;  // one strip must fit the block

// What a call needs besides registers. One thread makes one call at a time.
struct Scratch {
    alignas(64) uint8_t rows[kRowBytes];                   // (strip, step, tile, row, 64)
    alignas(64) int8_t weights[kMostSteps * 2 * kTile];    // (step, panel, 16, 64)
    alignas(64) int32_t sums[kMaxRows * 2 * kLanes];       // (strip, row, panel, channel)
    alignas(64) int32_t done[2][kStripRows * 2 * kLanes];  // the same, of two strips
};

// A thread's, which keeps it until it ends. On a huge page if there are any: 512 KB in pages of 4 KB are 128
// address translations, more than a core has close at hand, and cost 1 to 3 % of the time.
class OwnScratch {
 public:
    OwnScratch() : data_(static_cast<Scratch*>(aligned_alloc(kHugePage, kHugePage))) {
        static_assert(sizeof(Scratch) <= kHugePage, "one page");
        if (!data_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
        madvise(data_, kHugePage, MADV_HUGEPAGE);
#endif
    }
    ~OwnScratch() { free(data_); }
    OwnScratch(const OwnScratch&) = delete;
    OwnScratch& operator=(const OwnScratch&) = delete;
    Scratch& get() { return *data_; }

 private:
    static constexpr size_t kHugePage = size_t{2} << 20;
    Scratch* data_;
};
thread_local OwnScratch own_scratch;

// How a call is cut up.
struct Cut {
    size_t steps;            // of 64 values
    size_t steps_per_block;  // ≤ kMostSteps
    size_t height;           // rows of a tile; a strip is two tiles
    size_t rows_per_block;   // a multiple of the strip
};

Cut cut(const Gemm& g) {
    Cut c{};
    c.steps = (g.units + 1) / 2;
    c.steps_per_block = steps_per_block(c.steps);
    const size_t fit = kRowBytes / (c.steps * kVector) / kStripRows * kStripRows;
    if (!g.row_count) return c;
    const size_t most = std::min(fit, kMaxRows), row_blocks = (g.row_count + most - 1) / most;
    const size_t rows = (g.row_count + row_blocks - 1) / row_blocks;
    const size_t strips = (rows + kStripRows - 1) / kStripRows;
    c.height = (rows + 2 * strips - 1) / (2 * strips);
    c.rows_per_block = strips * 2 * c.height;
    return c;
}

// Step k of rows [row, row + count) → codes.
__attribute__((noinline)) void expand_rows(const Gemm& g, size_t row, size_t count, size_t k, uint8_t* out) {
    const __m512i values = _mm512_load_si512(order.values);
    const uint64_t* word = g.rows + row * g.row_stride + k;
    if (g.planes == 1) {
        const __m512i one = _mm512_set1_epi8(1);
        for (size_t r = 0; r < count; ++r, word += g.row_stride, out += kVector) {
            const __m512i bits = _mm512_set1_epi64(static_cast<long long>(*word));
            _mm512_store_si512(out,
                               _mm512_and_si512(_mm512_maskz_multishift_epi64_epi8(kAll, values, bits), one));
        }
        return;
    }
    const __m512i transpose = _mm512_load_si512(order.transpose);
    const __m512i columns = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201));
    for (size_t r = 0; r < count; ++r, word += g.row_stride, out += kVector) {
        const uint64_t* plane = word;
        __m512i planes = _mm512_setzero_si512();
        for (int n = 0; n < g.planes; ++n, plane += g.words)
            planes =
                _mm512_mask_set1_epi64(planes, static_cast<__mmask8>(1 << n), static_cast<long long>(*plane));
        planes = _mm512_maskz_permutexvar_epi8(kAll, transpose, planes);
        const __m512i codes = _mm512_gf2p8affine_epi64_epi8(columns, planes, 0);
        _mm512_store_si512(out, _mm512_maskz_permutexvar_epi8(kAll, values, codes));
    }
}

void count_bits(const GemmBits& g) {
    avx512_kernels.gemm_bits(g);
}
void count_bits(const GemmI32& g) {
    avx512_kernels.gemm_i32(g);
}

// A block of rows × P panels. The first panels to meet the rows expand them on the way, a strip ahead.
template <int P, class Store>
__attribute__((noinline)) void block(const typename Store::Args& g, const Cut& c, Scratch& s, size_t row,
                                     size_t rows, size_t panel, bool expand) {
    const size_t strip_rows = 2 * c.height, tile = c.height * kVector;
    __m512i ones[P];
    BINARYNET_UNROLL
    for (int p = 0; p < P; ++p) ones[p] = _mm512_setzero_si512();
    size_t steps;
    for (size_t first = 0; first < c.steps; first += steps) {
        steps = std::min(c.steps_per_block, c.steps - first);
        const bool last = first + steps == c.steps;
        expand_weights<P>(g, panel, first, steps, s.weights, ones);
        if (last) {
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p)
                ones[p] = _mm512_mullo_epi32(ones[p], _mm512_set1_epi32((1 << g.planes) - 1));
        }
        if (expand)
            for (size_t k = first; k < first + steps; ++k)
                expand_rows(g, row, std::min(strip_rows, rows), k, s.rows + k * 2 * tile);
        for (size_t r = 0, strip = 0; r < rows; r += strip_rows, ++strip) {
            const size_t left = rows - r, ahead = std::min(strip_rows, left - std::min(left, strip_rows));
            const bool grow = expand && ahead;
            // The sums of the strip before, which have left the matrix unit by now, become answers: between
            // the products where memory is what they wait for.
            const bool late = last && strip, spread = Store::kSpread && late && !grow;
            auto store = [&](size_t begin, size_t end) {
                Store::template store<P>(g, row + r - strip_rows + begin, end - begin, panel, ones,
                                         s.done[(strip - 1) % 2] + begin * P * kLanes);
            };
            uint8_t* a = s.rows + (r * c.steps + first * strip_rows) * kVector;
            const int8_t* w = s.weights;
            fence(&s);
            if (first == 0) {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            } else {
                load_sums<P>(s.sums + r * P * kLanes, c.height);
            }
            auto multiply = [&]() __attribute__((always_inline)) {
                _tile_stream_loadd(4, a, kVector);
                _tile_loadd(6, w, kVector);
                _tile_dpbusd(0, 4, 6);
                _tile_stream_loadd(5, a + tile, kVector);
                _tile_dpbusd(1, 5, 6);
                if (P == 2) {
                    _tile_loadd(7, w + kTile, kVector);
                    _tile_dpbusd(2, 4, 7);
                    _tile_dpbusd(3, 5, 7);
                }
                a += 2 * tile;
                w += P * kTile;
            };
            if (grow) {
                for (size_t k = first; k < first + steps; ++k) {
                    expand_rows(g, row + r + strip_rows, ahead, k, a + c.steps * 2 * tile);
                    multiply();
                }
            } else if (spread) {
                const size_t share = (strip_rows + steps - 1) / steps;
                for (size_t k = 0; k < steps; ++k) {
                    multiply();
                    store(std::min(strip_rows, k * share), std::min(strip_rows, (k + 1) * share));
                }
            } else {
                for (size_t k = 0; k < steps; ++k) multiply();
            }
            if (!last) {
                store_sums<P>(s.sums + r * P * kLanes, c.height);
                continue;
            }
            store_sums<P>(s.done[strip % 2], c.height);
            if (late && !spread) store(0, strip_rows);
            if (left <= strip_rows)
                Store::template store<P>(g, row + r, left, panel, ones, s.done[strip % 2]);
        }
    }
}

template <class Store>
void gemm(const typename Store::Args& g) {
    if (!g.tiles) return count_bits(g);
    const Cut c = cut(g);
    Scratch& scratch = own_scratch.get();
    const Tiles tiles(c.height);
    for (size_t row = 0; row < g.row_count; row += c.rows_per_block) {
        const size_t rows = std::min(c.rows_per_block, g.row_count - row);
        size_t panel = g.panel_begin;
        for (; panel + 2 <= g.panel_end; panel += 2)
            block<2, Store>(g, c, scratch, row, rows, panel, panel == g.panel_begin);
        if (panel < g.panel_end) block<1, Store>(g, c, scratch, row, rows, panel, panel == g.panel_begin);
    }
}

constexpr Price price_list[] = {
#include "costs/amx.inc"
};
static_assert(complete(price_list), "costs/amx.inc names every count of counts.inc once");
constexpr Prices prices = by_count(price_list);

}  // namespace

extern const KernelTable amx_kernels = {
    .panel = {kLanes, 4},
    .gemm_bits = gemm<ToBits>,
    .gemm_i32 = gemm<ToI32>,
    .expand = amx_expand,
    .strips_bits = amx_strips_bits,
    .strips_i32 = amx_strips_i32,
    .tile_depth = kMaxDepth,
    .prices = &prices,
    .popcount_unit = "avx512 popcount",
    .vertical_unit = "avx512 adders",
    .tile_unit = "amx int8",
};

}  // namespace binarynet
