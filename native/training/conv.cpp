// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512bf16 -mbmi2 -mamx-tile -mamx-bf16 -mamx-int8
//
// The three products of a binary convolution of stride 1 that keeps the size. Images lie in *bands*, so that
// a tap is a shift of all positions by one number, the convolution a sum over the taps of plain matrix
// products, and no patch is ever copied. Some images lie together, position by position:
//
//     zeros | row 0: image 0 1 … of pixel 0, image 0 1 … of pixel 1, …, zeros | row 1, zeros | … | zeros
//
// The zeros to the right of a row are those to the left of the next. With as many images together as make a
// row of 32 positions, a tile never spans two rows, and no sums are made at positions that are no pixels.
// With two or more, a shift is a whole number of pairs of positions, in which the right operand of the weight
// gradient lies: its taps read whole lines as well.
//
// Blocking. The matrix unit needs 4 KB of operands each 64 cycles, which L1 delivers and L2 hardly. So a
// *pass* takes 9 steps of the depth, a 3 × 3 window of 32 channels: 18 KB of weights, which are expanded from
// their signs into L1, and positions that the 9 taps share. Sums of unfinished depth wait in L2, 8 KB of
// traffic a pass.
#include <algorithm>
#include <atomic>

#include "../threads.h"
#include "products.h"
#include "tiles.h"

namespace binarynet::training {

namespace {

constexpr size_t kPass = 9;          // steps
constexpr size_t kStrips = 32;       // of two tiles, whose sums wait at a time: 128 KB
constexpr size_t kBand = 896 << 10;  // bytes of a task's positions, in L2
constexpr size_t kSteps = 8;         // of positions, of the weight gradient: 16 KB of either operand
constexpr size_t kAhead = 512;       // numbers that are fetched before they are packed: 2 KB
constexpr size_t kLine = 64;

size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

struct Geometry {
    ConvShape shape;
    size_t together = 2, shift_together = 1;  // 2^1
    size_t taps, row;                         // row: positions from one row to the next
    size_t height, per_group;                 // of a band, and bands of a group of images
    size_t bands, padded;                     // all bands, and positions of one with its zeros
    std::vector<size_t> shift;                // of each tap

    // A band is as many rows as are below `most` bytes, of `position_bytes` each.
    Geometry(const ConvShape& s, size_t position_bytes, size_t most = kBand) : shape(s) {
        taps = s.kernel_height * s.kernel_width;
        while (together * s.width < kBlock) together *= 2, ++shift_together;
        row = (s.width + s.kernel_width / 2) * together;
        per_group = divide_up(s.height, std::max<size_t>(1, most / (row * position_bytes)));
        height = divide_up(s.height, per_group);
        per_group = divide_up(s.height, height);
        bands = divide_up(s.images, together) * per_group;
        padded = s.kernel_width / 2 * together + (height + s.kernel_height - 1) * row + kBlock;
        for (size_t i = 0; i < s.kernel_height; ++i)
            for (size_t j = 0; j < s.kernel_width; ++j) shift.push_back(i * row + j * together);
    }
    size_t width() const { return shape.width * together; }  // of a row, in positions
    size_t first_row(size_t band) const { return band % per_group * height; }
    size_t rows(size_t band) const { return std::min(height, shape.height - first_row(band)); }
    size_t first_image(size_t band) const { return band / per_group << shift_together; }
    // Where a position of row y of images (…, channels) is; null beyond the last image.
    template <typename T>
    T* at(T* images, size_t channels, size_t first_image, size_t y, size_t position) const {
        const size_t image = first_image + (position & (together - 1));
        if (image >= shape.images) return nullptr;
        return images + ((image * shape.height + y) * shape.width + (position >> shift_together)) * channels;
    }
};

// What the matrix unit multiplies. Tiles are numbers in the code of an instruction, hence a macro.
struct Bfloat16 {
    static constexpr size_t kDepth = 32;  // of a step
    static constexpr bool kBytes = false;
};
struct Bytes {
    static constexpr size_t kDepth = 64;
    static constexpr bool kBytes = true;
};
#define BINARYNET_MULTIPLY(Unit, sums, left, right) \
    if constexpr (Unit::kBytes)                     \
        _tile_dpbssd(sums, left, right);            \
    else                                            \
        _tile_dpbf16ps(sums, left, right)

// Two tiles of rows × two of columns, and where their sums are: four tiles, side by side above each other.
struct Strip {
    const uint8_t *left[2], *right[2];
    float* sums;  // (tile of columns, row, 16)
};

// The sums of each strip = or += Σ of the steps, which are `left_at` and `right_at` bytes from their tiles.
// While the matrix unit works on a strip, the sums of the next are fetched, for which it would wait; and they
// come in one tile after the other, as those of this strip leave.
template <class Unit>
void accumulate(const Strip* strips, size_t count, const Offsets& left_at, const Offsets& right_at,
                bool add) {
    constexpr size_t kFetch = 8;  // lines a step: 64 in 8 steps
    constexpr size_t kSum = kHalf * kHalf;
    if (!count) return;
    fence(strips);
    if (add) {
        _tile_loadd(0, strips->sums, kLine);
        _tile_loadd(1, strips->sums + kSum, kLine);
        _tile_loadd(2, strips->sums + 2 * kSum, kLine);
        _tile_loadd(3, strips->sums + 3 * kSum, kLine);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t i = 0; i < count; ++i) {
        const Strip &strip = strips[i], &next = strips[(i + 1) % count];
        for (size_t k = 0; k < left_at.size(); ++k) {
            _tile_loadd(4, strip.left[0] + left_at[k], kLine);
            _tile_loadd(6, strip.right[0] + right_at[k], kLine);
            BINARYNET_MULTIPLY(Unit, 0, 4, 6);
            for (size_t line = 0; line < kFetch; ++line)
                _mm_prefetch(next.sums + (k * kFetch + line) * kHalf, _MM_HINT_T0);
            _tile_loadd(5, strip.left[1] + left_at[k], kLine);
            BINARYNET_MULTIPLY(Unit, 1, 5, 6);
            _tile_loadd(7, strip.right[1] + right_at[k], kLine);
            BINARYNET_MULTIPLY(Unit, 2, 4, 7);
            BINARYNET_MULTIPLY(Unit, 3, 5, 7);
        }
        if (add) {
            _tile_stored(0, strip.sums, kLine);
            _tile_loadd(0, next.sums, kLine);
            _tile_stored(1, strip.sums + kSum, kLine);
            _tile_loadd(1, next.sums + kSum, kLine);
            _tile_stored(2, strip.sums + 2 * kSum, kLine);
            _tile_loadd(2, next.sums + 2 * kSum, kLine);
            _tile_stored(3, strip.sums + 3 * kSum, kLine);
            _tile_loadd(3, next.sums + 3 * kSum, kLine);
        } else {
            _tile_stored(0, strip.sums, kLine);
            _tile_zero(0);
            _tile_stored(1, strip.sums + kSum, kLine);
            _tile_zero(1);
            _tile_stored(2, strip.sums + 2 * kSum, kLine);
            _tile_zero(2);
            _tile_stored(3, strip.sums + 3 * kSum, kLine);
            _tile_zero(3);
        }
    }
    fence(strips);
}

// The line of memory `count` numbers on. It need not be there.
void fetch(const float* from, size_t count) {
    _mm_prefetch(reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(from) + count * sizeof(float)),
                 _MM_HINT_T0);
}

// 32 numbers, low and high → their next piece, which is taken away from them.
__m512i take_pieces(__m512& low, __m512& high, bool last) {
    const __m512i piece = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    if (!last) {
        low = _mm512_sub_ps(low, from_bf16(_mm512_castsi512_si256(piece)));
        high = _mm512_sub_ps(high, from_bf16(_mm512_extracti64x4_epi64(piece, 1)));
    }
    return piece;
}

// The positions of a band, in planes of so many channels: what `pack(from, count, to)` makes of the `count`
// channels at `from`, which is null beyond the last image, stands in the line `to` of the first plane, and of
// some planes more that follow after all others.
template <class Pack>
void pack_positions(const Geometry& g, size_t band, const float* x, size_t channels, size_t depth,
                    size_t planes, uint8_t* packed, Pack&& pack) {
    const size_t plane = g.padded * kLine;
    const size_t left = g.shape.kernel_width / 2 * g.together, above = g.shape.kernel_height / 2;
    const size_t rows = g.rows(band) + g.shape.kernel_height - 1, end = left + rows * g.row;
    const auto clear = [&](size_t from, size_t to) {
        for (size_t k = 0; k < planes; ++k)
            std::memset(packed + k * plane + from * kLine, 0, (to - from) * kLine);
    };
    clear(0, left);
    clear(end, end + kBlock);
    for (size_t r = 0; r < rows; ++r) {
        const size_t begin = left + r * g.row, y = g.first_row(band) + r - above;  // wraps above the image
        if (y >= g.shape.height) {
            clear(begin, begin + g.row);
            continue;
        }
        clear(begin + g.width(), begin + g.row);
        for (size_t q = 0; q < g.width(); ++q) {
            const float* const from = g.at(x, channels, g.first_image(band), y, q);
            uint8_t* to = packed + (begin + q) * kLine;
            for (size_t c = 0; c < channels; c += depth, to += plane)
                pack(from ? from + c : nullptr, channels - c, to);
        }
    }
}

// Channels → bfloat16, 32 a line, in pieces that are `apart` bytes.
void pack_pieces(const float* from, size_t count, int pieces, size_t apart, uint8_t* to) {
    fetch(from, kAhead);
    fetch(from, kAhead + kHalf);
    __m512 low = _mm512_setzero_ps(), high = low;
    if (from && count >= kBlock) {
        low = _mm512_loadu_ps(from), high = _mm512_loadu_ps(from + kHalf);
    } else if (from) {
        low = load(from, first(count));
        if (count > kHalf) high = load(from + kHalf, first(count - kHalf));
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

// sign(w) → bits (block of filters, block of channels, tap, filter): 32 channels of a filter in a word.
bool pack_signs(const ConvShape& s, const float* w, uint32_t* signs, int threads) {
    const size_t taps = s.kernel_height * s.kernel_width, steps = blocks(s.channels);
    std::vector<uint8_t> unordered(blocks(s.filters));
    const __m512i apart =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32(static_cast<int>(taps)));
    parallel_for(blocks(s.filters), threads, [&](size_t block, int) {
        const __m512 zero = _mm512_setzero_ps();
        __mmask16 nan = 0;
        for (size_t f = 0; f < kBlock; ++f)
            for (size_t k = 0; k < steps; ++k) {
                uint32_t* to = signs + (block * steps + k) * taps * kBlock + f;
                const float* from = w + ((block * kBlock + f) * s.channels + k * kBlock) * taps;
                const size_t filter = block * kBlock + f, left = s.channels - k * kBlock;
                const __mmask16 low = filter < s.filters ? first(left) : __mmask16{0};
                const __mmask16 high =
                    filter < s.filters && left > kHalf ? first(left - kHalf) : __mmask16{0};
                for (size_t tap = 0; tap < taps; ++tap, ++from, to += kBlock) {
                    const __m512 a = _mm512_mask_i32gather_ps(zero, low, apart, from, 4);
                    const __m512 b = _mm512_mask_i32gather_ps(zero, high, apart, from + kHalf * taps, 4);
                    nan |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
                    *to = _mm512_cmp_ps_mask(a, zero, _CMP_GE_OQ) |
                          uint32_t{_mm512_cmp_ps_mask(b, zero, _CMP_GE_OQ)} << 16;
                }
            }
        unordered[block] = nan != 0;
    });
    for (const uint8_t one : unordered)
        if (one) return false;
    return true;
}

// Bits of 32 filters × 32 channels → a right step, whose columns are the filters and whose depth the
// channels. A lane holds the bits of a filter; its lowest four choose one of 16 entries, of which bfloat16
// needs two.
void expand_filters(const uint32_t* bits, uint8_t* to) {
    constexpr int16_t kPlus = 0x3f80, kMinus = static_cast<int16_t>(0xbf80);
    const __m512i ones =
        _mm512_broadcast_i32x4(_mm_setr_epi16(kMinus, kMinus, kPlus, kMinus, kMinus, kPlus, kPlus, kPlus));
    for (size_t half = 0; half < 2; ++half) {
        __m512i lanes = _mm512_loadu_si512(bits + half * kHalf);
        for (size_t pair = 0; pair < kHalf; ++pair, to += kLine, lanes = _mm512_srli_epi32(lanes, 2))
            _mm512_store_si512(to, _mm512_permutexvar_epi32(lanes, ones));
    }
}

// The same as bytes, of 64 channels, whose bits stand in two blocks.
void expand_filters(const uint32_t* bits, const uint32_t* other_bits, uint8_t* to) {
    alignas(64) static constexpr int8_t kOnes[16][4] = {
        {-1, -1, -1, -1}, {1, -1, -1, -1}, {-1, 1, -1, -1}, {1, 1, -1, -1}, {-1, -1, 1, -1}, {1, -1, 1, -1},
        {-1, 1, 1, -1},   {1, 1, 1, -1},   {-1, -1, -1, 1}, {1, -1, -1, 1}, {-1, 1, -1, 1},  {1, 1, -1, 1},
        {-1, -1, 1, 1},   {1, -1, 1, 1},   {-1, 1, 1, 1},   {1, 1, 1, 1}};
    const __m512i ones = _mm512_load_si512(kOnes);
    for (size_t half = 0; half < 2; ++half)
        for (const uint32_t* block : {bits, other_bits}) {
            __m512i lanes = _mm512_loadu_si512(block + half * kHalf);
            for (size_t four = 0; four < 8; ++four, to += kLine, lanes = _mm512_srli_epi32(lanes, 4))
                _mm512_store_si512(to, _mm512_permutexvar_epi32(lanes, ones));
        }
}

// The same with the channels as columns and the filters as depth.
void expand_channels(const uint32_t* bits, uint8_t* to) {
    const auto mix = [](uint32_t a, uint32_t b) {
        return _pdep_u32(a, 0x55555555) | _pdep_u32(b, 0xaaaaaaaa);
    };
    for (size_t pair = 0; pair < kHalf; ++pair, to += kLine) {
        const uint32_t even = bits[2 * pair], odd = bits[2 * pair + 1];
        _mm512_store_si512(to, ones(mix(even, odd)));
        _mm512_store_si512(to + kTile, ones(mix(even >> kHalf, odd >> kHalf)));
    }
}

// out (images, height, width, columns) = Σ over taps and depth. `forward`: columns are filters; else they are
// channels and the taps are those of the other side. False: x does not fit the unit, and out is nothing.
template <class Unit>
bool convolve(const Geometry& g, const float* x, int pieces, const uint32_t* signs, bool forward, float* out,
              int threads) {
    const ConvShape& s = g.shape;
    const size_t depth = forward ? s.channels : s.filters, columns = forward ? s.filters : s.channels;
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
        for (size_t band = begin; band < end; ++band) {
            uint8_t* const to = packed + (band - begin) * band_bytes;
            const size_t planes = static_cast<size_t>(pieces) * steps;
            if constexpr (Unit::kBytes) {
                bool fit_all = true;
                pack_positions(g, band, x, depth, Unit::kDepth, planes, to,
                               [&](const float* from, size_t count, uint8_t* line) {
                                   fit_all &= pack_bytes(from, count, line);
                               });
                if (!fit_all) fits = false;
            } else {
                pack_positions(g, band, x, depth, Unit::kDepth, planes, to,
                               [&](const float* from, size_t count, uint8_t* line) {
                                   pack_pieces(from, count, pieces, steps * plane, line);
                               });
            }
            for (size_t r = 0; r < g.rows(band); ++r)
                for (size_t t = 0; t < tiles_per_row; ++t)
                    places.push_back({to + (r * g.row + t * tile_rows) * kLine, g.first_image(band),
                                      g.first_row(band) + r, t * tile_rows});
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
            Strip strips[kStrips];
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

// 16 channels of two positions, interleaved: the next piece of them, which is taken away.
__m512i take_pairs(__m512& even, __m512& odd) {
    return interleave(take_piece(even), take_piece(odd));
}

// A band → (piece, 16 channels, pair of positions, 16, 2).
void pack_pairs(const Geometry& g, size_t band, const float* x, size_t channels, int pieces,
                uint8_t* packed) {
    const size_t plane = g.padded / 2 * kLine, tiles = blocks(channels) * 2, apart = tiles * plane;
    const size_t left = g.shape.kernel_width / 2 * g.together, above = g.shape.kernel_height / 2;
    const size_t rows = g.height + g.shape.kernel_height - 1, end = left + rows * g.row;
    const auto clear = [&](size_t from, size_t to) {
        for (size_t k = 0; k < tiles * static_cast<size_t>(pieces); ++k)
            std::memset(packed + k * plane + from / 2 * kLine, 0, (to - from) / 2 * kLine);
    };
    clear(0, left);
    clear(end, end + kBlock);
    for (size_t r = 0; r < rows; ++r) {
        const size_t begin = left + r * g.row, y = g.first_row(band) + r - above;
        if (y >= g.shape.height) {
            clear(begin, begin + g.row);
            continue;
        }
        clear(begin + g.width(), begin + g.row);
        for (size_t q = 0; q < g.width(); q += 2) {
            const float* const from[2] = {g.at(x, channels, g.first_image(band), y, q),
                                          g.at(x, channels, g.first_image(band), y, q + 1)};
            uint8_t* to = packed + (begin + q) / 2 * kLine;
            for (size_t c = 0; c < tiles * kHalf; c += kHalf, to += plane) {
                const __mmask16 mask = c < channels ? first(channels - c) : __mmask16{0};
                fetch(from[0], c + kAhead);
                fetch(from[1], c + kAhead);
                __m512 even = load(from[0] ? from[0] + c : nullptr, mask);
                __m512 odd = load(from[1] ? from[1] + c : nullptr, mask);
                for (int p = 0; p < pieces; ++p) _mm512_store_si512(to + p * apart, take_pairs(even, odd));
            }
        }
    }
}

// Rows of a band → left tiles (piece, 16 filters, step of 32 positions, filter, 64 bytes).
void pack_transposed(const Geometry& g, size_t band, size_t from_row, size_t to_row, const float* x,
                     size_t filters, int pieces, uint8_t* packed) {
    const size_t steps_per_row = divide_up(g.width(), kBlock), tiles = blocks(filters) * 2;
    const size_t plane = g.height * steps_per_row * kTile, apart = tiles * plane;
    // Lines of 32 rows, one of each: no prefetcher sees a pattern in that. The next 32 take half the time.
    const size_t ahead = kBlock / g.together * filters;
    for (size_t r = from_row; r < to_row; ++r)
        for (size_t k = 0; k < steps_per_row; ++k) {
            const float* from[kBlock];
            const size_t y = g.first_row(band) + r;
            for (size_t i = 0; i < kBlock; ++i) {
                const size_t q = k * kBlock + i;
                from[i] = q < g.width() && y < g.shape.height ? g.at(x, filters, g.first_image(band), y, q)
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

// Of few channels, all taps fit a step or two: the windows are gathered, and become the channels of a 1 × 1
// convolution with the same weights. Three channels of 3 × 3 are one step then, where they were nine.
bool few_channels(const ConvShape& s) {
    const size_t taps = s.kernel_height * s.kernel_width;
    return taps > 1 && s.channels * taps <= 2 * kBlock;
}
ConvShape of_windows(const ConvShape& s) {
    return {s.images, s.height, s.width, s.channels * s.kernel_height * s.kernel_width, s.filters, 1, 1};
}

// x (images, height, width, channels) → (images, height, width, channels, kernel_height, kernel_width).
const float* gather_windows(const ConvShape& s, const float* x, int threads) {
    const size_t count = of_windows(s).channels, pixels = s.height * s.width;
    float* const windows =
        reinterpret_cast<float*>(workspace(Use::kWindows, s.images * pixels * count * sizeof(float)));
    // Of each value of a window: where it is, and the rows and columns of windows in which it is inside.
    alignas(64) int32_t offsets[2 * kBlock] = {};
    std::vector<uint64_t> inside_y(s.height), inside_x(s.width);
    size_t n = 0;
    for (size_t c = 0; c < s.channels; ++c)
        for (size_t i = 0; i < s.kernel_height; ++i)
            for (size_t j = 0; j < s.kernel_width; ++j, ++n) {
                const int64_t down = int64_t(i) - int64_t(s.kernel_height / 2);
                const int64_t right = int64_t(j) - int64_t(s.kernel_width / 2);
                offsets[n] = static_cast<int32_t>((down * int64_t(s.width) + right) * int64_t(s.channels) +
                                                  int64_t(c));
                for (size_t y = 0; y < s.height; ++y) inside_y[y] |= uint64_t{y + down < s.height} << n;
                for (size_t at = 0; at < s.width; ++at) inside_x[at] |= uint64_t{at + right < s.width} << n;
            }
    parallel_for(s.images * s.height, threads, [&](size_t row, int) {
        for (size_t at = 0; at < s.width; ++at) {
            const uint64_t inside = inside_y[row % s.height] & inside_x[at];
            const float* const from = x + (row * s.width + at) * s.channels;
            float* const to = windows + (row * s.width + at) * count;
            for (size_t n = 0; n < count; n += kHalf)
                _mm512_mask_storeu_ps(
                    to + n, first(count - n),
                    _mm512_mask_i32gather_ps(_mm512_setzero_ps(), static_cast<__mmask16>(inside >> n),
                                             _mm512_load_si512(offsets + n), from, sizeof(float)));
        }
    });
    return windows;
}

}  // namespace

size_t conv_sign_words(const ConvShape& s) {
    return blocks(s.filters) * blocks(s.channels) * s.kernel_height * s.kernel_width * kBlock;
}

int conv(const ConvShape& shape, const float* x, int most_pieces, const float* w, float* y, uint32_t* signs,
         int threads) {
    if (!pack_signs(shape, w, signs, threads)) return 0;
    const bool few = few_channels(shape);
    // Bytes have twice the rate. Their sums are integers, and numbers of float32 too as long as they fit.
    // (Few channels are those of images, of too many values for a byte, and of little work.)
    const size_t depth = shape.channels * shape.kernel_height * shape.kernel_width;
    if (!few && depth * 128 <= size_t{1} << 24) {
        const Geometry geometry(shape, divide_up(shape.channels, Bytes::kDepth) * kLine);
        if (convolve<Bytes>(geometry, x, 1, signs, true, y, threads)) return 1;
    }
    const int pieces = pieces_of(x, shape.images * shape.height * shape.width * shape.channels, threads);
    if (pieces > most_pieces) return 0;
    const ConvShape same = few ? of_windows(shape) : shape;
    const Geometry geometry(same, static_cast<size_t>(pieces) * blocks(same.channels) * kLine);
    if (few) {
        std::vector<uint32_t> same_signs(conv_sign_words(same));
        pack_signs(same, w, same_signs.data(), threads);
        convolve<Bfloat16>(geometry, gather_windows(shape, x, threads), pieces, same_signs.data(), true, y,
                           threads);
    } else {
        convolve<Bfloat16>(geometry, x, pieces, signs, true, y, threads);
    }
    return pieces;
}

void conv_input_gradient(const ConvShape& shape, const float* g, int pieces, const uint32_t* signs, float* dx,
                         int threads) {
    const Geometry geometry(shape, static_cast<size_t>(pieces) * blocks(shape.filters) * kLine);
    convolve<Bfloat16>(geometry, g, pieces, signs, false, dx, threads);
}

void conv_weight_gradient(const ConvShape& shape, const float* g, int g_pieces, const float* x, int x_pieces,
                          float* dw, int threads) {
    if (few_channels(shape))
        return conv_weight_gradient(of_windows(shape), g, g_pieces, gather_windows(shape, x, threads),
                                    x_pieces, dw, threads);
    const size_t rows = blocks(shape.filters), columns = blocks(shape.channels);
    const size_t left_pieces = static_cast<size_t>(g_pieces), right_pieces = static_cast<size_t>(x_pieces);
    const Geometry geometry(shape, (left_pieces * rows + right_pieces * columns) * kLine);
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
            if (part == kParts)
                pack_pairs(geometry, begin + i, x, shape.channels, x_pieces, right + i * right_band);
            else
                pack_transposed(geometry, begin + i, geometry.height * part / kParts,
                                geometry.height * (part + 1) / kParts, g, shape.filters, g_pieces,
                                left + i * left_band);
        });
        parallel_for(rows * columns, threads, [&](size_t task, int slot) {
            const size_t row = task % rows, column = task / rows;
            float* const mine = sums + (chunks > 1 ? task : static_cast<size_t>(slot)) * own;
            const Tiles tiles;
            std::vector<Strip> strips(taps);
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
