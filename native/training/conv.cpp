// compile (x86_64|AMD64): -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mamx-tile -mamx-bf16
//
// The three products of a binary convolution of stride 1 that keeps the size. Images stand in one long row of
// *positions*, with zeros between their rows and between them:
//
//     lead | row 0, zeros | row 1, zeros | … | zeros | image 1 …     pitch = width + kernel_width / 2
//
// so that a tap is a shift of all positions by one number, and the convolution a sum over the taps of plain
// matrix products: no patch is ever copied. The zeros to the right of a row are those to the left of the
// next. The price is the sums at positions that are no pixels: 6 % of 32 × 32, 27 % of 8 × 8.
#include "../threads.h"
#include "products.h"
#include "tiles.h"

namespace binarynet::training {

namespace {

struct Geometry {
    size_t taps, pitch, lead, positions;  // rounded up to whole blocks
    std::vector<size_t> shift;            // of each tap: 0 … 2 · lead
    std::vector<int64_t> pixel;           // of each position, −1 for none

    explicit Geometry(const ConvShape& s)
        : taps(s.kernel_height * s.kernel_width),
          pitch(s.width + s.kernel_width / 2),
          lead(s.kernel_height / 2 * pitch + s.kernel_width / 2),
          positions(blocks(s.images * (s.height + s.kernel_height / 2) * pitch) * kBlock),
          pixel(positions, -1) {
        for (size_t i = 0; i < s.kernel_height; ++i)
            for (size_t j = 0; j < s.kernel_width; ++j) shift.push_back(i * pitch + j);
        for (size_t row = 0; row < s.images * s.height; ++row) {
            const size_t at = (row / s.height * (s.height + s.kernel_height / 2) + row % s.height) * pitch;
            for (size_t x = 0; x < s.width; ++x) pixel[at + x] = static_cast<int64_t>(row * s.width + x);
        }
    }
    size_t padded() const { return positions + 2 * lead; }
};

// Values (pixels, channels) → bfloat16 (piece, lead + position, channels rounded up to 32), zeros elsewhere.
uint8_t* pack_positions(const Geometry& geometry, const float* x, size_t channels, int pieces, int threads) {
    const size_t row = blocks(channels) * 64, apart = geometry.padded() * row;
    uint8_t* const packed = workspace(Use::kLeft, static_cast<size_t>(pieces) * apart);
    for (int p = 0; p < pieces; ++p) {
        std::memset(packed + p * apart, 0, geometry.lead * row);
        std::memset(packed + p * apart + (geometry.lead + geometry.positions) * row, 0, geometry.lead * row);
    }
    parallel_for(geometry.positions / kBlock, threads, [&](size_t block, int) {
        for (size_t q = block * kBlock; q < (block + 1) * kBlock; ++q) {
            const float* const from =
                geometry.pixel[q] < 0 ? nullptr : x + static_cast<size_t>(geometry.pixel[q]) * channels;
            uint8_t* to = packed + (geometry.lead + q) * row;
            for (size_t c = 0; c < row / 2; c += kHalf, to += 32) {
                __m512 values =
                    from && c < channels ? load(from + c, first(channels - c)) : _mm512_setzero_ps();
                for (int p = 0; p < pieces; ++p)
                    _mm256_store_si256(reinterpret_cast<__m256i*>(to + p * apart), take_piece(values));
            }
        }
    });
    return packed;
}

// sign(w) → right blocks (block, tap, step, tile, 16 pairs, 16, 2): columns are filters and the depth
// channels, or the other way round.
uint8_t* pack_weights(const ConvShape& s, const float* w, bool filters_are_columns, bool& bad, int threads) {
    const size_t taps = s.kernel_height * s.kernel_width,
                 depth = filters_are_columns ? s.channels : s.filters;
    const size_t columns = filters_are_columns ? s.filters : s.channels, steps = blocks(depth);
    const size_t operand = taps * steps * kStep;
    uint8_t* const packed = workspace(Use::kRight, blocks(columns) * operand);
    std::vector<uint8_t> unordered(blocks(columns));
    const size_t column_stride = filters_are_columns ? s.channels * taps : taps;
    const size_t depth_stride = filters_are_columns ? taps : s.channels * taps;
    parallel_for(blocks(columns), threads, [&](size_t block, int) {
        uint8_t* const to = packed + block * operand;
        std::memset(to, 0, operand);
        bool nan = false;
        for (size_t d = 0; d < depth; ++d)
            for (size_t c = 0; c < kBlock && block * kBlock + c < columns; ++c) {
                const float* const from = w + (block * kBlock + c) * column_stride + d * depth_stride;
                uint8_t* at = to + d / kBlock * kStep + c / kHalf * kTile + d % kBlock / 2 * 64 +
                              c % kHalf * 4 + d % 2 * 2;
                for (size_t tap = 0; tap < taps; ++tap, at += steps * kStep) {
                    *reinterpret_cast<uint16_t*>(at) = from[tap] >= 0 ? 0x3f80 : 0xbf80;
                    nan |= from[tap] != from[tap];
                }
            }
        unordered[block] = nan;
    });
    bad = false;
    for (const uint8_t one : unordered) bad |= one != 0;
    return packed;
}

// out (pixels, columns) = Σ over taps and depth; `flipped`: taps in reverse.
void convolve(const Geometry& geometry, const uint8_t* left, int pieces, const uint8_t* right, size_t depth,
              size_t columns, bool flipped, float* out, int threads) {
    const size_t steps = blocks(depth), row = steps * 64, operand = geometry.taps * steps * kStep;
    Offsets left_at, right_at;
    for (int p = 0; p < pieces; ++p)
        for (size_t tap = 0; tap < geometry.taps; ++tap)
            for (size_t k = 0; k < steps; ++k) {
                const size_t shift = flipped ? 2 * geometry.lead - geometry.shift[tap] : geometry.shift[tap];
                left_at.push_back((static_cast<size_t>(p) * geometry.padded() + shift) * row + k * 64);
                right_at.push_back((tap * steps + k) * kStep);
            }
    // A task is some 512 positions, whose rows stay in L2 while the weights pass by, 32 columns at a time.
    constexpr size_t kChunk = 16;
    const size_t all = geometry.positions / kBlock;
    parallel_for((all + kChunk - 1) / kChunk, threads, [&](size_t task, int) {
        alignas(64) float sums[kBlock * kBlock];
        const Tiles tiles;
        for (size_t column = 0; column < columns; column += kBlock)
            for (size_t block = task * kChunk; block < std::min(all, (task + 1) * kChunk); ++block) {
                multiply(left + block * kBlock * row, row, left_at, right + column / kBlock * operand,
                         right_at, 0, left_at.size(), false, sums);
                for (size_t q = 0; q < kBlock; ++q) {
                    const int64_t pixel = geometry.pixel[block * kBlock + q];
                    if (pixel < 0) continue;
                    float* const to = out + static_cast<size_t>(pixel) * columns + column;
                    for (size_t part = 0; part < kBlock && column + part < columns; part += kHalf)
                        _mm512_mask_storeu_ps(to + part, first(columns - column - part),
                                              _mm512_load_ps(sums + q * kBlock + part));
                }
            }
    });
}

}  // namespace

bool conv(const ConvShape& shape, const float* x, int pieces, const float* w, float* y, int threads) {
    const Geometry geometry(shape);
    bool bad;
    const uint8_t* const right = pack_weights(shape, w, true, bad, threads);
    if (bad) return false;
    const uint8_t* const left = pack_positions(geometry, x, shape.channels, pieces, threads);
    convolve(geometry, left, pieces, right, shape.channels, shape.filters, false, y, threads);
    return true;
}

void conv_input_gradient(const ConvShape& shape, const float* g, int pieces, const float* w, float* dx,
                         int threads) {
    const Geometry geometry(shape);
    bool bad;
    const uint8_t* const right = pack_weights(shape, w, false, bad, threads);
    const uint8_t* const left = pack_positions(geometry, g, shape.filters, pieces, threads);
    convolve(geometry, left, pieces, right, shape.filters, shape.channels, true, dx, threads);
}

void conv_weight_gradient(const ConvShape& shape, const float* g, int g_pieces, const float* x, int x_pieces,
                          float* dw, int threads) {
    const Geometry geometry(shape);
    const size_t steps = geometry.positions / kBlock, rows = blocks(shape.channels),
                 columns = blocks(shape.filters);
    // Left: channels as rows, (piece, channel, position), which a tap shifts by elements.
    const size_t stride = round_up(geometry.padded() + kHalf, kBlock) * 2 + 64;  // no power of two
    const size_t left_piece = rows * kBlock * stride;
    uint8_t* const left = workspace(Use::kLeft, static_cast<size_t>(x_pieces) * left_piece);
    parallel_for((geometry.padded() + kHalf - 1) / kHalf, threads, [&](size_t block, int) {
        const float* from[kHalf];
        for (size_t i = 0; i < kHalf; ++i) {
            const size_t at = block * kHalf + i;
            const bool inside = at >= geometry.lead && at < geometry.lead + geometry.positions;
            const int64_t pixel = inside ? geometry.pixel[at - geometry.lead] : -1;
            from[i] = pixel < 0 ? nullptr : x + static_cast<size_t>(pixel) * shape.channels;
        }
        for (size_t c = 0; c < rows * kBlock; c += kHalf) {
            __m512 r[16];
            for (size_t i = 0; i < kHalf; ++i)
                r[i] = from[i] && c < shape.channels ? load(from[i] + c, first(shape.channels - c))
                                                     : _mm512_setzero_ps();
            transpose(r);
            for (int p = 0; p < x_pieces; ++p)
                for (size_t i = 0; i < kHalf; ++i)
                    _mm256_storeu_si256(
                        reinterpret_cast<__m256i*>(left + p * left_piece + (c + i) * stride + block * 32),
                        take_piece(r[i]));
        }
    });
    // Right: filters as columns, pairs of positions.
    const size_t operand = static_cast<size_t>(g_pieces) * steps * kStep;
    uint8_t* const right = workspace(Use::kRight, columns * operand);
    parallel_for(steps, threads, [&](size_t k, int) {
        for (size_t pair = 0; pair < kHalf; ++pair) {
            const int64_t* const pixel = &geometry.pixel[k * kBlock + 2 * pair];
            const auto values = [&](int64_t at, size_t column) {
                return at < 0 || column >= shape.filters
                           ? _mm512_setzero_ps()
                           : load(g + static_cast<size_t>(at) * shape.filters + column,
                                  first(shape.filters - column));
            };
            for (size_t column = 0; column < columns * kBlock; column += kHalf) {
                __m512 even = values(pixel[0], column), odd = values(pixel[1], column);
                uint8_t* to = right + column / kBlock * operand + k * kStep +
                              column % kBlock / kHalf * kTile + pair * 64;
                for (int p = 0; p < g_pieces; ++p, to += steps * kStep)
                    _mm512_store_si512(to, interleave(take_piece(even), take_piece(odd)));
            }
        }
    });
    // 4096 positions at a time, 256 KB of either operand in L2, meet all taps; sums of unfinished depth wait.
    constexpr size_t kChunk = 128;
    Offsets left_at(steps), right_at(steps);
    for (size_t k = 0; k < steps; ++k) left_at[k] = k * 64, right_at[k] = k * kStep;
    const size_t groups = rows < 4 * static_cast<size_t>(threads) ? shape.kernel_height : 1;
    const size_t group_taps = geometry.taps / groups, own = columns * group_taps * kBlock * kBlock;
    float* const scratch =
        reinterpret_cast<float*>(workspace(Use::kSums, static_cast<size_t>(threads) * own * sizeof(float)));
    parallel_for(rows * groups, threads, [&](size_t task, int slot) {
        const size_t row = task / groups, tap = task % groups * group_taps;
        float* const sums = scratch + static_cast<size_t>(slot) * own;
        const Tiles tiles;
        for (size_t begin = 0; begin < steps; begin += kChunk)
            for (int p = 0; p < g_pieces * x_pieces; ++p) {
                if (!matters(p / g_pieces, p % g_pieces, x_pieces, g_pieces)) continue;
                for (size_t column = 0; column < columns; ++column)
                    for (size_t t = 0; t < group_taps; ++t)
                        multiply(left + p / g_pieces * left_piece + row * kBlock * stride +
                                     geometry.shift[tap + t] * 2,
                                 stride, left_at,
                                 right + column * operand + static_cast<size_t>(p % g_pieces) * steps * kStep,
                                 right_at, begin, std::min(steps, begin + kChunk), begin || p,
                                 sums + (column * group_taps + t) * kBlock * kBlock);
            }
        for (size_t filter = 0; filter < shape.filters; ++filter)
            for (size_t c = 0; c < kBlock && row * kBlock + c < shape.channels; ++c)
                for (size_t t = 0; t < group_taps; ++t)
                    dw[(filter * shape.channels + row * kBlock + c) * geometry.taps + tap + t] =
                        sums[((filter / kBlock * group_taps + t) * kBlock + c) * kBlock + filter % kBlock];
    });
}

}  // namespace binarynet::training
