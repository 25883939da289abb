// compile (x86_64|AMD64): -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mbmi2 -mamx-tile -mamx-bf16
// -mamx-int8
//
// The three products of a binary linear layer. Batches are small and weights many, so each weight block is
// expanded from its signs once, in the scratch of one task, and meets the whole batch there: in memory, a
// weight is 32 bits for the forward pass, which must read the latent value, and one bit after it.
#include "base/threads.h"
#include "products.h"
#include "signs.h"
#include "strips.h"
#include "tiles.h"

namespace binarynet::training {

namespace {

constexpr size_t kSteps = 8;    // of a pass of the gradient of the input
constexpr size_t kStrips = 32;  // whose sums wait at a time: 128 KB

// Steps of all pieces of the activations, against the same steps of the weights.
void repeat(size_t steps, int pieces, Offsets& weights, Offsets& activations) {
    for (int p = 0; p < pieces; ++p)
        for (size_t k = 0; k < steps; ++k) {
            weights.push_back(k * kStep);
            activations.push_back((static_cast<size_t>(p) * steps + k) * kStep);
        }
}

// 16 numbers of a matrix (rows, columns), zeros outside it.
struct Matrix {
    const float* data;
    size_t rows, columns;
    __m512 at(size_t row, size_t column) const {
        if (row >= rows || column >= columns) return _mm512_setzero_ps();
        return load(data + row * columns + column, first(columns - column));
    }
};

// 16 rows r × 32 columns c → a right tile of columns r along the depth c, one for each piece `apart` bytes.
void pack_right_transposed(const Matrix& x, size_t row, size_t column, int pieces, size_t apart,
                           uint8_t* tile) {
    __m512 low[16], high[16], pairs[16];
    for (size_t r = 0; r < 16; ++r) low[r] = x.at(row + r, column), high[r] = x.at(row + r, column + 16);
    for (int p = 0; p < pieces; ++p, tile += apart) {
        for (size_t r = 0; r < 16; ++r)
            pairs[r] = _mm512_castsi512_ps(
                _mm512_inserti64x4(_mm512_castsi256_si512(take_piece(low[r])), take_piece(high[r]), 1));
        transpose(pairs);
        for (size_t r = 0; r < 16; ++r) _mm512_store_ps(tile + r * 64, pairs[r]);
    }
}

// The same of bits, (rows, words).
void pack_right_transposed(const uint32_t* signs, size_t rows, size_t columns, size_t row, size_t column,
                           uint8_t* tile) {
    const size_t words = blocks(columns), left = column < columns ? columns - column : 0;
    const __mmask32 there = left >= kBlock ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
    __m512 pairs[16];
    for (size_t r = 0; r < 16; ++r)
        pairs[r] = row + r < rows && left ? _mm512_castsi512_ps(_mm512_maskz_mov_epi16(
                                                there, ones(signs[(row + r) * words + column / kBlock])))
                                          : _mm512_setzero_ps();
    transpose(pairs);
    for (size_t r = 0; r < 16; ++r) _mm512_store_ps(tile + r * 64, pairs[r]);
}

// 32 rows × 16 columns → a left tile of rows = columns, depth = rows.
void pack_left_transposed(const Matrix& x, size_t row, size_t column, int pieces, size_t apart,
                          uint8_t* tile) {
    for (size_t half = 0; half < 2; ++half) {
        __m512 r[16];
        for (size_t i = 0; i < 16; ++i) r[i] = x.at(row + 16 * half + i, column);
        transpose(r);
        for (int p = 0; p < pieces; ++p)
            for (size_t i = 0; i < 16; ++i)
                _mm256_store_si256(reinterpret_cast<__m256i*>(tile + p * apart + i * 64 + half * 32),
                                   take_piece(r[i]));
    }
}

// 16 columns of two rows of bits, interleaved.
__m512i pair_of_signs(const uint32_t* signs, const LinearShape& shape, size_t row, size_t column) {
    const size_t words = blocks(shape.depth);
    const uint32_t all = column < shape.depth ? first(shape.depth - column) : 0;
    const auto bits = [&](size_t r) {
        return all && r < shape.batch ? signs[r * words + column / kBlock] >> column % kBlock : 0;
    };
    const __mmask32 there = side_by_side(row < shape.batch ? all : 0, row + 1 < shape.batch ? all : 0);
    return _mm512_maskz_mov_epi16(there, ones(side_by_side(bits(row), bits(row + 1))));
}

}  // namespace

size_t linear_sign_words(const LinearShape& shape) {
    return blocks(shape.depth) * blocks(shape.channels) * kBlock;
}

bool linear(const LinearShape& shape, const Operand& x, int pieces, const float* w, float* y, uint32_t* signs,
            int threads) {
    const size_t steps = blocks(shape.depth), columns = blocks(shape.batch), rows = blocks(shape.channels);
    const size_t operand = static_cast<size_t>(pieces) * steps * kStep;  // of a block of the batch
    uint8_t* const packed = workspace(Use::kRight, columns * operand);
    const Matrix input{x.numbers, shape.batch, shape.depth};
    parallel_for(columns * 2, threads, [&](size_t task, int) {
        for (size_t k = 0; k < steps; ++k) {
            uint8_t* const to = packed + task / 2 * operand + k * kStep + task % 2 * kTile;
            if (x.signs)
                pack_right_transposed(x.signs, shape.batch, shape.depth, task * kHalf, k * kBlock, to);
            else
                pack_right_transposed(input, task * kHalf, k * kBlock, pieces, steps * kStep, to);
        }
    });
    Offsets weight_at, input_at;
    repeat(steps, pieces, weight_at, input_at);

    const size_t sum_bytes = kBlock * kBlock * sizeof(float), sign_bytes = steps * kBlock * sizeof(uint32_t);
    const size_t scratch = round_up(steps * kStep + sum_bytes + sign_bytes, 4096);
    uint8_t* const own = workspace(Use::kLeft, static_cast<size_t>(threads) * scratch);
    std::vector<uint8_t> bad(rows);
    parallel_for(rows, threads, [&](size_t block, int slot) {
        uint8_t* const expanded = own + static_cast<size_t>(slot) * scratch;
        float* const sums = reinterpret_cast<float*>(expanded + steps * kStep);
        uint32_t* const bits = reinterpret_cast<uint32_t*>(expanded + steps * kStep + sum_bytes);
        const size_t channel = block * kBlock, count = std::min(kBlock, shape.channels - channel);
        __mmask16 unordered = 0;
        for (size_t c = 0; c < count; ++c) {
            const Matrix row{w + (channel + c) * shape.depth, 1, shape.depth};
            uint8_t* to = expanded + c / kHalf * kTile + c % kHalf * 64;
            for (size_t k = 0; k < steps; ++k, to += kStep) {
                const __m512 low = row.at(0, k * kBlock), high = row.at(0, k * kBlock + kHalf);
                const __m512 zero = _mm512_setzero_ps();
                unordered |= _mm512_cmp_ps_mask(low, high, _CMP_UNORD_Q);
                const uint32_t positive = _mm512_cmp_ps_mask(low, zero, _CMP_GE_OQ) |
                                          uint32_t{_mm512_cmp_ps_mask(high, zero, _CMP_GE_OQ)} << 16;
                _mm512_store_si512(to, ones(positive));
                bits[k * kBlock + c] = positive;
            }
        }
        bad[block] = unordered != 0;
        for (size_t k = 0; k < steps; ++k)
            std::memcpy(signs + (k * rows + block) * kBlock, bits + k * kBlock, kBlock * sizeof(uint32_t));
        const Tiles tiles;
        for (size_t column = 0; column < columns; ++column) {
            multiply(expanded, 64, weight_at, packed + column * operand, input_at, 0, weight_at.size(), false,
                     sums);
            const size_t images = std::min(kBlock, shape.batch - column * kBlock);
            for (size_t half = 0; half < count; half += kHalf)
                for (size_t part = 0; part < images; part += kHalf) {
                    __m512 r[16];
                    for (size_t c = 0; c < 16; ++c) r[c] = _mm512_load_ps(sums + (half + c) * kBlock + part);
                    transpose(r);
                    for (size_t n = 0; n < std::min(kHalf, images - part); ++n)
                        _mm512_mask_storeu_ps(
                            y + (column * kBlock + part + n) * shape.channels + channel + half,
                            first(count - half), r[n]);
                }
        }
    });
    for (const uint8_t block : bad)
        if (block) return false;
    return true;
}

void linear_input_gradient(const LinearShape& shape, const float* g, int pieces, const uint32_t* signs,
                           float* dx, int threads) {
    // Tiles of as many rows as all share: the unit takes a cycle for each.
    const size_t steps = blocks(shape.channels), strips = blocks(shape.batch);
    const size_t height = (shape.batch + 2 * strips - 1) / (2 * strips);
    const size_t operand = static_cast<size_t>(pieces) * steps * kStep;  // of a strip of the batch
    uint8_t* const packed = workspace(Use::kLeft, strips * operand);
    const Matrix gradient{g, shape.batch, shape.channels};
    parallel_for(strips * 2, threads, [&](size_t task, int) {
        for (size_t k = 0; k < steps; ++k)
            for (size_t r = 0; r < height; ++r) {
                __m512 low = gradient.at(task * height + r, k * kBlock);
                __m512 high = gradient.at(task * height + r, k * kBlock + kHalf);
                uint8_t* to = packed + task / 2 * operand + k * kStep + task % 2 * kTile + r * 64;
                for (int p = 0; p < pieces; ++p, to += steps * kStep) {
                    _mm256_store_si256(reinterpret_cast<__m256i*>(to), take_piece(low));
                    _mm256_store_si256(reinterpret_cast<__m256i*>(to + 32), take_piece(high));
                }
            }
    });
    // 32 columns meet some strips. A pass takes 8 steps of their weights, which are expanded into L1.
    const size_t passes = (steps + kSteps - 1) / kSteps;
    std::vector<Offsets> gradient_at(passes), weight_at(passes);
    for (size_t pass = 0; pass < passes; ++pass)
        for (size_t p = 0; p < static_cast<size_t>(pieces); ++p)
            for (size_t k = steps * pass / passes; k < steps * (pass + 1) / passes; ++k) {
                gradient_at[pass].push_back((p * steps + k) * kStep);
                weight_at[pass].push_back((k - steps * pass / passes) * kStep);
            }
    const size_t own_bytes = (kStrips * kBlock * kBlock + kSteps * kStep / sizeof(float)) * sizeof(float);
    uint8_t* const own = workspace(Use::kRight, static_cast<size_t>(threads) * own_bytes);
    parallel_for(blocks(shape.depth), threads, [&](size_t block, int slot) {
        uint8_t* const expanded = own + static_cast<size_t>(slot) * own_bytes;
        float* const sums = reinterpret_cast<float*>(expanded + kSteps * kStep);
        const uint32_t* const bits = signs + block * steps * kBlock;
        const size_t column = block * kBlock;
        const Tiles tiles(height);
        for (size_t begin = 0; begin < strips; begin += kStrips) {
            const size_t some = std::min(kStrips, strips - begin);
            TileStrip strip[kStrips];
            for (size_t i = 0; i < some; ++i) {
                const uint8_t* const left = packed + (begin + i) * operand;
                strip[i] = {{left, left + kTile}, {expanded, expanded + kTile}, sums + i * kBlock * kBlock};
            }
            for (size_t pass = 0; pass < passes; ++pass) {
                const size_t from = steps * pass / passes, to = steps * (pass + 1) / passes;
                for (size_t k = from; k < to; ++k)
                    expand_channels(bits + k * kBlock, expanded + (k - from) * kStep);
                accumulate<Bfloat16>(strip, some, gradient_at[pass], weight_at[pass], pass != 0);
            }
            for (size_t i = 0; i < 2 * some; ++i)  // tiles of rows
                for (size_t r = 0; r < height; ++r) {
                    const size_t row = (2 * begin + i) * height + r;
                    if (row >= shape.batch) break;
                    const float* from = sums + (i / 2 * 4 + i % 2) * kHalf * kHalf + r * kHalf;
                    for (size_t part = 0; part < kBlock && column + part < shape.depth;
                         part += kHalf, from += 2 * kHalf * kHalf)
                        _mm512_mask_storeu_ps(dx + row * shape.depth + column + part,
                                              first(shape.depth - column - part), _mm512_load_ps(from));
                }
        }
    });
}

void linear_weight_gradient(const LinearShape& shape, const float* g, int g_pieces, const Operand& x,
                            int x_pieces, float* dw, int threads) {
    const size_t steps = blocks(shape.batch), rows = blocks(shape.channels), columns = blocks(shape.depth);
    const size_t left = static_cast<size_t>(g_pieces) * steps * kStep;
    const size_t right = static_cast<size_t>(x_pieces) * steps * kStep;
    uint8_t *const gradients = workspace(Use::kLeft, rows * left), *const inputs = workspace(Use::kRight,
                                                                                             columns * right);
    const Matrix gradient{g, shape.batch, shape.channels}, input{x.numbers, shape.batch, shape.depth};
    parallel_for(rows, threads, [&](size_t row, int) {
        for (size_t k = 0; k < steps; ++k)
            for (size_t half = 0; half < 2; ++half)
                pack_left_transposed(gradient, k * kBlock, row * kBlock + half * kHalf, g_pieces,
                                     steps * kStep, gradients + row * left + k * kStep + half * kTile);
    });
    parallel_for(columns, threads, [&](size_t column, int) {
        for (size_t k = 0; k < steps; ++k)
            for (size_t half = 0; half < 2; ++half)
                for (size_t pair = 0; pair < kHalf; ++pair) {
                    const size_t image = k * kBlock + 2 * pair, from = column * kBlock + half * kHalf;
                    uint8_t* to = inputs + column * right + k * kStep + half * kTile + pair * 64;
                    if (x.signs) {
                        _mm512_store_si512(to, pair_of_signs(x.signs, shape, image, from));
                        continue;
                    }
                    __m512 even = input.at(image, from), odd = input.at(image + 1, from);
                    for (int p = 0; p < x_pieces; ++p, to += steps * kStep)
                        _mm512_store_si512(to, interleave(take_piece(even), take_piece(odd)));
                }
    });
    Offsets left_at, right_at;
    for (int p = 0; p < g_pieces; ++p)
        for (int q = 0; q < x_pieces && matters(p, q, g_pieces, x_pieces); ++q)
            for (size_t k = 0; k < steps; ++k) {
                left_at.push_back((static_cast<size_t>(p) * steps + k) * kStep);
                right_at.push_back((static_cast<size_t>(q) * steps + k) * kStep);
            }
    // The gradient is next read when all of it is there, and has left the cache by then: stores go past it.
    const bool aligned = shape.depth % kHalf == 0 && reinterpret_cast<uintptr_t>(dw) % 64 == 0;
    parallel_for(rows, threads, [&](size_t row, int) {
        alignas(64) float sums[kBlock * kBlock];
        const Tiles tiles;
        const size_t count = std::min(kBlock, shape.channels - row * kBlock);
        for (size_t column = 0; column < columns; ++column) {
            multiply(gradients + row * left, 64, left_at, inputs + column * right, right_at, 0,
                     left_at.size(), false, sums);
            for (size_t c = 0; c < count; ++c)
                for (size_t part = column * kBlock, end = std::min(part + kBlock, shape.depth); part < end;
                     part += kHalf) {
                    const __m512 sum = _mm512_load_ps(sums + c * kBlock + part % kBlock);
                    float* const to = dw + (row * kBlock + c) * shape.depth + part;
                    if (aligned)
                        _mm512_stream_ps(to, sum);
                    else
                        _mm512_mask_storeu_ps(to, first(shape.depth - part), sum);
                }
        }
        _mm_sfence();
    });
}

int pieces_of(const float* x, size_t count, int threads) {
    constexpr size_t kPart = 1 << 16;
    const size_t parts = (count + kPart - 1) / kPart;
    std::vector<uint8_t> need(parts, 1);
    parallel_for(parts, threads, [&](size_t part, int) {
        __mmask16 second = 0, third = 0;
        for (size_t i = part * kPart, end = std::min(count, i + kPart); i < end; i += kHalf) {
            __m512 rest = load(x + i, first(end - i));
            take_piece(rest);
            second |= _mm512_cmp_ps_mask(rest, _mm512_setzero_ps(), _CMP_NEQ_OQ);
            take_piece(rest);
            third |= _mm512_cmp_ps_mask(rest, _mm512_setzero_ps(), _CMP_NEQ_OQ);
        }
        need[part] = third ? 3 : second ? 2 : 1;
    });
    int most = 1;
    for (const uint8_t n : need) most = std::max<int>(most, n);
    return most;
}

}  // namespace binarynet::training
