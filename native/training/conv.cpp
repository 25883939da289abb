// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512bf16 -mbmi2 -mamx-tile -mamx-bf16 -mamx-int8
//
// A binary convolution and the gradient of its input. A task packs a band of images into L2. Then, for 32
// columns at a time, a pass takes 9 steps of the depth, a 3 × 3 window of one plane of channels: 18 KB of
// weights, which are expanded from their signs into L1, and positions that the 9 taps share. 32 strips meet
// them there.
#include <atomic>

#include "bands.h"
#include "signs.h"
#include "strips.h"
#include "windows.h"

namespace binarynet::training {

namespace {

constexpr size_t kPass = 9;     // steps
constexpr size_t kStrips = 32;  // whose sums wait at a time: 128 KB

// 32 numbers, low and high → their next piece, which is taken away from them.
__m512i take_pieces(__m512& low, __m512& high, bool last) {
    const __m512i piece = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    if (!last) {
        low = _mm512_sub_ps(low, from_bf16(_mm512_castsi512_si256(piece)));
        high = _mm512_sub_ps(high, from_bf16(_mm512_extracti64x4_epi64(piece, 1)));
    }
    return piece;
}

// Channels → bfloat16, 32 a line, in pieces that are `apart` bytes.
// `scales`: of each channel, or null.
void pack_pieces(const float* from, const float* scales, size_t count, int pieces, size_t apart,
                 uint8_t* to) {
    fetch(from, kAhead);
    fetch(from, kAhead + kHalf);
    __m512 low = _mm512_setzero_ps(), high = low;
    if (from && count >= kBlock) {
        low = _mm512_loadu_ps(from), high = _mm512_loadu_ps(from + kHalf);
    } else if (from) {
        low = load(from, first(count));
        if (count > kHalf) high = load(from + kHalf, first(count - kHalf));
    }
    if (scales) {
        low = _mm512_mul_ps(low, load(scales, first(count)));
        if (count > kHalf) high = _mm512_mul_ps(high, load(scales + kHalf, first(count - kHalf)));
    }
    for (int p = 0; p < pieces; ++p, to += apart)
        _mm512_store_si512(to, take_pieces(low, high, p + 1 == pieces));
}

// Channels → bytes, 64 a line. False: one of them is no integer from −128 to 127.
bool pack_bytes(const float* from, size_t count, uint8_t* to) {
    __mmask16 other = 0;
    for (size_t i = 0; i < 4; ++i, to += kHalf) {
        fetch(from, kAhead + i * kHalf);
        const __m512 values = from && count > i * kHalf ? load(from + i * kHalf, first(count - i * kHalf))
                                                        : _mm512_setzero_ps();
        const __m512i integers = _mm512_cvtps_epi32(values);
        other |= _mm512_cmp_ps_mask(_mm512_cvtepi32_ps(integers), values, _CMP_NEQ_UQ);
        other |= _mm512_cmpgt_epu32_mask(_mm512_add_epi32(integers, _mm512_set1_epi32(128)),
                                         _mm512_set1_epi32(255));
        _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(integers));
    }
    return !other;
}

// Channels of ±1, as bits → bytes, 64 a line. Null: zeros.
void pack_bytes(const uint32_t* from, size_t count, uint8_t* to) {
    uint64_t positive = 0;
    if (from) positive = from[0] | (count > kBlock ? uint64_t{from[1]} << kBlock : 0);
    const __mmask64 there = !from ? 0 : count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    const __m512i ones = _mm512_mask_mov_epi8(_mm512_set1_epi8(-1), positive, _mm512_set1_epi8(1));
    _mm512_store_si512(to, _mm512_maskz_mov_epi8(there, ones));
}

// out (images, height, width, columns) = Σ over taps and depth. `forward`: columns are filters; else they are
// channels and the taps are those of the other side. `scales`: of the filters, or null. False: x does not fit
// the unit, and out is nothing.
template <class Unit>
bool convolve(const Bands& g, const Operand& x, int pieces, const uint32_t* signs, const float* scales,
              bool forward, float* out, int threads) {
    const ConvShape& s = g.shape;
    const size_t depth = forward ? s.channels : s.filters, columns = forward ? s.filters : s.channels;
    const size_t words = blocks(depth);  // of the bits of a pixel
    const size_t steps = divide_up(depth, Unit::kDepth), plane = g.padded * kLine;
    const size_t band_bytes = static_cast<size_t>(pieces) * steps * plane;
    // The steps of each pass, one piece after the other.
    const size_t all = steps * g.taps, passes = divide_up(all, kPass);
    const auto pass_begin = [&](size_t pass) { return all * pass / passes; };
    std::vector<Offsets> left_at(passes), right_at(passes);
    for (size_t pass = 0; pass < passes; ++pass)
        for (size_t p = 0; p < static_cast<size_t>(pieces); ++p)
            for (size_t n = pass_begin(pass); n < pass_begin(pass + 1); ++n) {
                const size_t tap = forward ? n % g.taps : g.taps - 1 - n % g.taps;
                left_at[pass].push_back((p * steps + n / g.taps) * plane + g.shift[tap] * kLine);
                right_at[pass].push_back((n - pass_begin(pass)) * kStep);
            }
    // A task takes some bands, so that its weights are expanded for many positions.
    const size_t tiles_per_row = divide_up(g.width(), kHalf), tile_rows = divide_up(g.width(), tiles_per_row);
    const size_t fit = std::max<size_t>(1, kBand / band_bytes);
    const size_t tasks = std::min(g.bands, round_up(divide_up(g.bands, fit), static_cast<size_t>(threads)));
    const size_t scratch = round_up(fit * band_bytes, 4096) + kStrips * kStep * 2 + kPass * kStep;
    uint8_t* const own = workspace(Use::kLeft, static_cast<size_t>(threads) * scratch);
    const bool stream = columns % kHalf == 0 && reinterpret_cast<uintptr_t>(out) % kLine == 0;

    std::atomic<bool> fits{true};
    const uint32_t none[kBlock] = {};
    parallel_for(tasks, threads, [&](size_t task, int slot) {
        if (!fits) return;
        uint8_t* const packed = own + static_cast<size_t>(slot) * scratch;
        float* const sums = reinterpret_cast<float*>(packed + round_up(fit * band_bytes, 4096));
        uint8_t* const right = packed + scratch - kPass * kStep;
        const size_t begin = g.bands * task / tasks, end = g.bands * (task + 1) / tasks;
        struct Place {
            const uint8_t* left;
            size_t image, y, position;
        };
        std::vector<Place> places;
        bool fit_all = true;
        std::vector<float> room(x.from ? round_up(depth, kHalf) : 0);  // for the channels of a pixel
        for (size_t band = begin; band < end; ++band) {
            uint8_t* const to = packed + (band - begin) * band_bytes;
            pack_band(
                g, band, g.rows(band), 1, static_cast<size_t>(pieces) * steps, to,
                [&](size_t y, size_t q, uint8_t* line) {
                    if constexpr (Unit::kBytes)
                        if (x.signs) {
                            const uint32_t* const bits = g.at(x.signs, words, g.first_image(band), y, q);
                            for (size_t c = 0; c < depth; c += Unit::kDepth, line += plane)
                                pack_bytes(bits ? bits + c / kBlock : nullptr, depth - c, line);
                            return;
                        }
                    const float* const from = g.gradient_at(x, depth, g.first_image(band), y, q, room.data());
                    for (size_t c = 0; c < depth; c += Unit::kDepth, line += plane) {
                        const float* const channels = from ? from + c : nullptr;
                        if constexpr (Unit::kBytes)
                            fit_all &= pack_bytes(channels, depth - c, line);
                        else
                            pack_pieces(channels, scales && !forward ? scales + c : nullptr, depth - c,
                                        pieces, steps * plane, line);
                    }
                });
            for (size_t r = 0; r < g.rows(band); ++r)
                for (size_t t = 0; t < tiles_per_row; ++t)
                    places.push_back({to + (r * g.row + t * tile_rows) * kLine, g.first_image(band),
                                      g.first_row(band) + r, t * tile_rows});
        }
        if (!fit_all) {
            fits = false;
            return;
        }
        const auto store = [&](const Place& place, const float* from, size_t column) {
            const size_t count = std::min(tile_rows, g.width() - place.position);
            for (size_t i = 0; i < count; ++i, from += kHalf) {
                float* to = g.at(out, columns, place.image, place.y, place.position + i);
                if (!to) continue;
                to += column;
                for (size_t part = 0; part < kBlock && column + part < columns; part += kHalf) {
                    __m512 sum = _mm512_load_ps(from + part / kHalf * 2 * kHalf * kHalf);
                    if constexpr (Unit::kBytes) sum = _mm512_cvtepi32_ps(_mm512_castps_si512(sum));
                    if (scales && forward)
                        sum =
                            _mm512_mul_ps(sum, load(scales + column + part, first(columns - column - part)));
                    if (stream)
                        _mm512_stream_ps(to + part, sum);
                    else
                        _mm512_mask_storeu_ps(to + part, first(columns - column - part), sum);
                }
            }
        };
        const Tiles tiles(tile_rows);
        for (size_t strip = 0; strip < places.size(); strip += 2 * kStrips) {
            const size_t some = std::min(places.size() - strip, 2 * kStrips);
            TileStrip strips[kStrips];
            for (size_t i = 0; i < some; i += 2)
                strips[i / 2] = {{places[strip + i].left, places[strip + (i + 1 < some ? i + 1 : i)].left},
                                 {right, right + kTile},
                                 sums + i * kHalf * kBlock};
            for (size_t column = 0; column < columns; column += kBlock) {
                for (size_t pass = 0; pass < passes; ++pass) {
                    for (size_t n = pass_begin(pass); n < pass_begin(pass + 1); ++n) {
                        const size_t k = n / g.taps, tap = n % g.taps;
                        uint8_t* const to = right + (n - pass_begin(pass)) * kStep;
                        const auto bits = [&](size_t filters, size_t channels) {
                            return signs +
                                   ((filters * blocks(s.channels) + channels) * g.taps + tap) * kBlock;
                        };
                        if constexpr (Unit::kBytes)
                            expand_filters(
                                bits(column / kBlock, 2 * k),
                                2 * k + 1 < blocks(depth) ? bits(column / kBlock, 2 * k + 1) : none, to);
                        else if (forward)
                            expand_filters(bits(column / kBlock, k), to);
                        else
                            expand_channels(bits(k, column / kBlock), to);
                    }
                    accumulate<Unit>(strips, divide_up(some, 2), left_at[pass], right_at[pass], pass != 0);
                }
                for (size_t i = 0; i < some; ++i)
                    store(places[strip + i], sums + i / 2 * kBlock * kBlock + i % 2 * kHalf * kHalf, column);
            }
        }
        _mm_sfence();
    });
    return fits;
}

}  // namespace

bool conv_takes_signs(const ConvShape& shape) {
    return !few_channels(shape);
}

size_t conv_sign_words(const ConvShape& s) {
    return blocks(s.filters) * blocks(s.channels) * s.kernel_height * s.kernel_width * kBlock;
}

int conv(const ConvShape& shape, const Operand& x, int most_pieces, const float* w, float* y, uint32_t* signs,
         int threads) {
    if (!pack_signs(shape, w, signs, threads)) return 0;
    const bool few = few_channels(shape);
    // Bytes have twice the rate. Their sums are integers, and numbers of float32 too as long as they fit.
    // (Few channels are those of images, of too many values for a byte, and of little work.)
    const size_t depth = shape.channels * shape.kernel_height * shape.kernel_width;
    if (!few && (x.signs || depth * 128 <= size_t{1} << 24)) {
        const Bands geometry(shape, divide_up(shape.channels, Bytes::kDepth) * kLine);
        if (convolve<Bytes>(geometry, x, 1, signs, nullptr, true, y, threads)) return 1;
    }
    const int pieces =
        pieces_of(x.numbers, shape.images * shape.height * shape.width * shape.channels, threads);
    if (pieces > most_pieces) return 0;
    const ConvShape same = few ? of_windows(shape) : shape;
    const Bands geometry(same, static_cast<size_t>(pieces) * blocks(same.channels) * kLine);
    if (few) {
        std::vector<uint32_t> same_signs(conv_sign_words(same));
        pack_signs(same, w, same_signs.data(), threads);
        convolve<Bfloat16>(geometry, {gather_windows(shape, x.numbers, threads)}, pieces, same_signs.data(),
                           nullptr, true, y, threads);
    } else {
        convolve<Bfloat16>(geometry, x, pieces, signs, nullptr, true, y, threads);
    }
    return pieces;
}

void conv_of_signs(const ConvShape& shape, const uint32_t* x, const uint32_t* signs, const float* scales,
                   float* y, int threads) {
    const Bands geometry(shape, divide_up(shape.channels, Bytes::kDepth) * kLine);
    convolve<Bytes>(geometry, {nullptr, x}, 1, signs, scales, true, y, threads);
}

void conv_input_gradient(const ConvShape& shape, const Operand& g, int pieces, const uint32_t* signs,
                         const float* scales, float* dx, int threads) {
    const Bands geometry(shape, static_cast<size_t>(pieces) * blocks(shape.filters) * kLine);
    convolve<Bfloat16>(geometry, g, pieces, signs, scales, false, dx, threads);
}

}  // namespace binarynet::training
