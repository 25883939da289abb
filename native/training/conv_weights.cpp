// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512bf16 -mbmi2 -mamx-tile -mamx-bf16 -mamx-int8
//
// The gradient of a convolution's weights: for each tap, filters × positions times positions × channels. Of
// 32 filters and 32 channels, a pass takes 8 steps of 32 positions, 16 KB of either operand, which all taps
// meet in L1: those of the right operand are the same but for some lines.
#include "bands.h"
#include "base/threads.h"
#include "strips.h"
#include "windows.h"

namespace binarynet::training {

namespace {

constexpr size_t kSteps = 8;  // of a pass

// 16 channels of two positions, interleaved: the next piece of them, which is taken away.
__m512i take_pairs(__m512& even, __m512& odd) {
    return interleave(take_piece(even), take_piece(odd));
}

// A band → (piece, 16 channels, pair of positions, 16, 2).
void pack_pairs(const Bands& g, size_t band, const float* x, size_t channels, int pieces, uint8_t* packed) {
    const size_t plane = g.padded / 2 * kLine, tiles = blocks(channels) * 2, apart = tiles * plane;
    pack_band(g, band, g.height, 2, static_cast<size_t>(pieces) * tiles, packed,
              [&](size_t y, size_t q, uint8_t* to) {
                  const float* const from[2] = {g.at(x, channels, g.first_image(band), y, q),
                                                g.at(x, channels, g.first_image(band), y, q + 1)};
                  for (size_t c = 0; c < tiles * kHalf; c += kHalf, to += plane) {
                      const __mmask16 mask = c < channels ? first(channels - c) : __mmask16{0};
                      fetch(from[0], c + kAhead);
                      fetch(from[1], c + kAhead);
                      __m512 even = load(from[0] ? from[0] + c : nullptr, mask);
                      __m512 odd = load(from[1] ? from[1] + c : nullptr, mask);
                      for (int p = 0; p < pieces; ++p)
                          _mm512_store_si512(to + p * apart, take_pairs(even, odd));
                  }
              });
}

// The same of bits.
void pack_sign_pairs(const Bands& g, size_t band, const uint32_t* signs, size_t channels, uint8_t* packed) {
    const size_t plane = g.padded / 2 * kLine, tiles = blocks(channels) * 2, words = blocks(channels);
    pack_band(g, band, g.height, 2, tiles, packed, [&](size_t y, size_t q, uint8_t* to) {
        const uint32_t* const even = g.at(signs, words, g.first_image(band), y, q);
        const uint32_t* const odd = g.at(signs, words, g.first_image(band), y, q + 1);
        for (size_t c = 0; c < tiles * kHalf; c += kHalf, to += plane) {
            const uint32_t all = c < channels ? first(channels - c) : 0;
            const __mmask32 there = side_by_side(even ? all : 0, odd ? all : 0);
            const auto bits = [&](const uint32_t* from) { return from ? from[c / kBlock] >> c % kBlock : 0; };
            _mm512_store_si512(to, _mm512_maskz_mov_epi16(there, ones(side_by_side(bits(even), bits(odd)))));
        }
    });
}

// Rows of a band → left tiles (piece, 16 filters, step of 32 positions, filter, 64 bytes).
void pack_transposed(const Bands& g, size_t band, size_t from_row, size_t to_row, const Operand& x,
                     size_t filters, int pieces, uint8_t* packed) {
    const size_t steps_per_row = divide_up(g.width(), kBlock), tiles = blocks(filters) * 2;
    const size_t plane = g.height * steps_per_row * kTile, apart = tiles * plane;
    // Lines of 32 rows, one of each: no prefetcher sees a pattern in that. The next 32 take half the time.
    const size_t ahead = kBlock / g.together * filters;
    const size_t apart_rooms = round_up(filters, kHalf);
    std::vector<float> room(x.from ? kBlock * apart_rooms : 0);
    for (size_t r = from_row; r < to_row; ++r)
        for (size_t k = 0; k < steps_per_row; ++k) {
            const float* from[kBlock];
            const size_t y = g.first_row(band) + r;
            for (size_t i = 0; i < kBlock; ++i) {
                const size_t q = k * kBlock + i;
                from[i] = q < g.width() && y < g.shape.height
                              ? g.gradient_at(x, filters, g.first_image(band), y, q,
                                              room.data() + (x.from ? i * apart_rooms : 0))
                              : nullptr;
            }
            for (size_t f = 0; f < tiles * kHalf; f += kHalf) {
                const __mmask16 mask = f < filters ? first(filters - f) : __mmask16{0};
                uint8_t* to = packed + f / kHalf * plane + (r * steps_per_row + k) * kTile;
                for (int p = 0; p < pieces; ++p, to += apart) {
                    __m512 pairs[kHalf];
                    for (size_t i = 0; i < kHalf; ++i) {
                        fetch(from[2 * i], f + ahead);
                        fetch(from[2 * i + 1], f + ahead);
                        __m512 even = load(from[2 * i] ? from[2 * i] + f : nullptr, mask);
                        __m512 odd = load(from[2 * i + 1] ? from[2 * i + 1] + f : nullptr, mask);
                        for (int before = 0; before < p; ++before) take_pairs(even, odd);
                        pairs[i] = _mm512_castsi512_ps(take_pairs(even, odd));
                    }
                    transpose(pairs);
                    for (size_t i = 0; i < kHalf; ++i) _mm512_store_ps(to + i * kLine, pairs[i]);
                }
            }
        }
}

// Sums (tap, tile of channels, filter, channel) → dw. 16 channels of up to 16 taps are turned at a time.
void store_weights(const ConvShape& s, size_t filter, size_t channel, const float* sums, float* dw) {
    const size_t taps = s.kernel_height * s.kernel_width;
    // The gradient is read when all of it is there, and has left the cache by then: whole lines go past it.
    const bool stream = s.channels % kHalf == 0 && reinterpret_cast<uintptr_t>(dw) % kLine == 0;
    Buffer buffer(stream ? taps * kLine : 0);
    for (size_t f = 0; f < kBlock && filter + f < s.filters; ++f)
        for (size_t c = 0; c < kBlock && channel + c < s.channels; c += kHalf) {
            float* const weights = dw + ((filter + f) * s.channels + channel + c) * taps;
            float* const lines = stream ? buffer.as<float>() : weights;
            for (size_t tap = 0; tap < taps; tap += kHalf) {
                const __mmask16 mask = first(taps - tap);
                __m512 r[kHalf];
                for (size_t i = 0; i < kHalf; ++i)
                    r[i] = tap + i < taps
                               ? _mm512_load_ps(sums + (((tap + i) * 2 + c / kHalf) * kBlock + f) * kHalf)
                               : _mm512_setzero_ps();
                transpose(r);
                for (size_t i = 0; i < std::min(kHalf, s.channels - channel - c); ++i)
                    _mm512_mask_storeu_ps(lines + i * taps + tap, mask, r[i]);
            }
            if (stream)
                for (size_t tap = 0; tap < taps; ++tap)
                    _mm512_stream_ps(weights + tap * kHalf, _mm512_load_ps(lines + tap * kHalf));
        }
    _mm_sfence();
}

}  // namespace

void conv_weight_gradient(const ConvShape& shape, const Operand& g, int g_pieces, const Operand& x,
                          int x_pieces, float* dw, int threads) {
    if (few_channels(shape))
        return conv_weight_gradient(of_windows(shape), g, g_pieces,
                                    {gather_windows(shape, x.numbers, threads)}, x_pieces, dw, threads);
    const size_t rows = blocks(shape.filters), columns = blocks(shape.channels);
    const size_t left_pieces = static_cast<size_t>(g_pieces), right_pieces = static_cast<size_t>(x_pieces);
    const Bands geometry(shape, (left_pieces * rows + right_pieces * columns) * kLine);
    const size_t taps = geometry.taps, steps_per_row = divide_up(geometry.width(), kBlock);
    const size_t left_plane = geometry.height * steps_per_row * kTile;
    const size_t right_plane = geometry.padded / 2 * kLine;
    const size_t left_piece = rows * 2 * left_plane, right_piece = columns * 2 * right_plane;
    const size_t left_band = left_pieces * left_piece, right_band = right_pieces * right_piece;
    // Bands go by in chunks. The larger a chunk, the farther away its operands; the smaller, the more often
    // the sums of all weights pass by.
    const size_t own = taps * kBlock * kBlock, all_sums = rows * columns * own * sizeof(float);
    const size_t fit = std::max(kBand * 5 / 4, all_sums) / (left_band + right_band);
    const size_t chunks = divide_up(geometry.bands, std::max<size_t>(1, fit));
    const size_t chunk = divide_up(geometry.bands, chunks);
    uint8_t* const left = workspace(Use::kLeft, chunk * left_band);
    uint8_t* const right = workspace(Use::kRight, chunk * right_band);
    float* const sums = reinterpret_cast<float*>(
        workspace(Use::kSums, chunks > 1 ? all_sums : static_cast<size_t>(threads) * own * sizeof(float)));

    const size_t steps = geometry.height * steps_per_row, passes = divide_up(steps, kSteps);
    std::vector<Offsets> left_at(passes), right_at(passes);
    for (size_t pass = 0; pass < passes; ++pass)
        for (size_t p = 0; p < left_pieces; ++p)
            for (size_t q = 0; q < right_pieces; ++q)
                for (size_t k = steps * pass / passes; k < steps * (pass + 1) / passes; ++k) {
                    if (!matters(int(p), int(q), g_pieces, x_pieces)) continue;
                    left_at[pass].push_back(p * left_piece + k * kTile);
                    right_at[pass].push_back(
                        q * right_piece +
                        (k / steps_per_row * geometry.row / 2 + k % steps_per_row * kHalf) * kLine);
                }

    for (size_t begin = 0; begin < geometry.bands; begin += chunk) {
        const size_t end = std::min(geometry.bands, begin + chunk);
        // Of a band, the one operand in one task, the other, which is turned, in four.
        constexpr size_t kParts = 4;
        parallel_for((end - begin) * (kParts + 1), threads, [&](size_t task, int) {
            const size_t i = task / (kParts + 1), part = task % (kParts + 1);
            if (part == kParts && x.signs)
                pack_sign_pairs(geometry, begin + i, x.signs, shape.channels, right + i * right_band);
            else if (part == kParts)
                pack_pairs(geometry, begin + i, x.numbers, shape.channels, x_pieces, right + i * right_band);
            else
                pack_transposed(geometry, begin + i, geometry.height * part / kParts,
                                geometry.height * (part + 1) / kParts, g, shape.filters, g_pieces,
                                left + i * left_band);
        });
        parallel_for(rows * columns, threads, [&](size_t task, int slot) {
            const size_t row = task % rows, column = task / rows;
            float* const mine = sums + (chunks > 1 ? task : static_cast<size_t>(slot)) * own;
            const Tiles tiles;
            std::vector<TileStrip> strips(taps);
            for (size_t band = begin; band < end; ++band) {
                const uint8_t* const a = left + (band - begin) * left_band + row * 2 * left_plane;
                const uint8_t* const b = right + (band - begin) * right_band + column * 2 * right_plane;
                for (size_t tap = 0; tap < taps; ++tap) {
                    const uint8_t* const shifted = b + geometry.shift[tap] / 2 * kLine;
                    strips[tap] = {
                        {a, a + left_plane}, {shifted, shifted + right_plane}, mine + tap * kBlock * kBlock};
                }
                for (size_t pass = 0; pass < passes; ++pass)
                    accumulate<Bfloat16>(strips.data(), taps, left_at[pass], right_at[pass], band || pass);
            }
            if (end == geometry.bands) store_weights(shape, row * kBlock, column * kBlock, mine, dw);
        });
    }
}

}  // namespace binarynet::training
