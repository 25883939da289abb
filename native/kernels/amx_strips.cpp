// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512vbmi -mavx512vpopcntdq -mgfni -mamx-tile -mamx-int8
//
// The matrix unit on rows that are bytes already: convolutions, whose windows overlap. Everything that
// amx.cpp says holds here too, but for the rows: every pixel becomes bytes once and is read where it lies by
// each tap that sees it, where rows gathered for the other kernels would be expanded tap by tap, nine times
// for 3 × 3. The blocks are those of amx.cpp, but for twice the rows, 512.
#include <immintrin.h>

#include <algorithm>

#include "amx.h"
#include "amx_strips.h"

namespace binarynet {
namespace {

constexpr size_t kMaxStrips = 16;  // of a block

struct Scratch {
    alignas(64) int8_t weights[kMostSteps * 2 * kTile];              // (step, panel, 16, 64)
    alignas(64) int32_t sums[kMaxStrips * kStripRows * 2 * kLanes];  // (strip, row, panel, channel)
    alignas(64) int32_t done[2][kStripRows * 2 * kLanes];            // the same, of two strips
};
thread_local Scratch scratch;

// Some strips × P panels.
template <int P, class Store>
__attribute__((noinline)) void block(const typename Store::Args& g, const Strips& rows, const Strip* strips,
                                     size_t strip_count, size_t panel, Scratch& s) {
    const size_t all = (g.units + 1) / 2, most = steps_per_block(all);
    const size_t height = rows.height, stride = rows.stride, strip_sums = 2 * height * P * kLanes;
    __m512i ones[P];
    BINARYNET_UNROLL
    for (int p = 0; p < P; ++p) ones[p] = _mm512_setzero_si512();
    auto store = [&](size_t i) {
        Store::template store<P>(g, strips[i].row, strips[i].count, panel, ones, s.done[i % 2]);
    };
    size_t steps;
    for (size_t first = 0; first < all; first += steps) {
        steps = std::min(most, all - first);
        const bool last = first + steps == all;
        expand_weights<P>(g, panel, first, steps, s.weights, ones);
        if (last) {
            BINARYNET_UNROLL
            for (int p = 0; p < P; ++p)
                ones[p] = _mm512_mullo_epi32(ones[p], _mm512_set1_epi32((1 << g.planes) - 1));
        }
        for (size_t i = 0; i < strip_count; ++i) {
            const Strip& strip = strips[i];
            const int8_t* w = s.weights;
            fence(&s);
            if (first == 0) {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            } else {
                load_sums<P>(s.sums + i * strip_sums, height);
            }
            const char* next = reinterpret_cast<const char*>(s.sums + (i + 1) * strip_sums);
            const bool fetch = first && i + 1 < strip_count;
            const size_t lines = (2 * height * P + steps - 1) / steps;
            for (size_t k = first; k < first + steps; ++k, w += P * kTile) {
                if (fetch) {
                    for (size_t q = 0; q < lines; ++q, next += kVector) __builtin_prefetch(next, 0, 3);
                }
                _tile_stream_loadd(4, strip.tiles[0] + rows.offsets[k], stride);
                _tile_loadd(6, w, kVector);
                _tile_dpbusd(0, 4, 6);
                _tile_stream_loadd(5, strip.tiles[1] + rows.offsets[k], stride);
                _tile_dpbusd(1, 5, 6);
                if (P == 2) {
                    _tile_loadd(7, w + kTile, kVector);
                    _tile_dpbusd(2, 4, 7);
                    _tile_dpbusd(3, 5, 7);
                }
            }
            if (!last) {
                store_sums<P>(s.sums + i * strip_sums, height);
                continue;
            }
            // As in amx.cpp, the sums of the strip before become answers.
            store_sums<P>(s.done[i % 2], height);
            if (i) store(i - 1);
        }
    }
    store(strip_count - 1);
}

template <class Store>
void gemm(const typename Store::Args& g, const Strips& rows) {
    const Tiles tiles(rows.height);
    // Blocks of equal size: the fewer strips meet a panel, the more its expansion weighs.
    const size_t blocks = (rows.count + kMaxStrips - 1) / kMaxStrips;
    for (size_t i = 0; i < blocks; ++i) {
        const size_t begin = rows.count * i / blocks, count = rows.count * (i + 1) / blocks - begin;
        size_t panel = g.panel_begin;
        for (; panel + 2 <= g.panel_end; panel += 2)
            block<2, Store>(g, rows, rows.strips + begin, count, panel, scratch);
        if (panel < g.panel_end) block<1, Store>(g, rows, rows.strips + begin, count, panel, scratch);
    }
}

}  // namespace

void amx_expand(const Pixels& p) {
    const __m512i values = _mm512_load_si512(order.values), one = _mm512_set1_epi8(1);
    for (size_t first = 0; first < p.values; first += kWord) {
        uint8_t* out = p.out + first / kWord * p.step_stride;
        if (p.bits) {
            const uint8_t* from = p.from + first / 8;
            for (size_t i = 0; i < p.count; ++i, from += p.stride, out += kVector) {
                const __m512i bits = _mm512_set1_epi64(*reinterpret_cast<const long long*>(from));
                _mm512_store_si512(
                    out, _mm512_and_si512(_mm512_maskz_multishift_epi64_epi8(kAll, values, bits), one));
            }
        } else {
            const uint8_t* from = p.from + first;
            const __mmask64 exist = low_bits(p.values - first);
            for (size_t i = 0; i < p.count; ++i, from += p.stride, out += kVector)
                _mm512_store_si512(
                    out, _mm512_maskz_permutexvar_epi8(kAll, values, _mm512_maskz_loadu_epi8(exist, from)));
        }
    }
}

void amx_strips_bits(const GemmBits& g, const Strips& rows) {
    gemm<ToBits>(g, rows);
}

void amx_strips_i32(const GemmI32& g, const Strips& rows) {
    gemm<ToI32>(g, rows);
}

}  // namespace binarynet
