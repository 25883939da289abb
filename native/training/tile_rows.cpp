// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512bf16 -mbmi2 -mamx-tile -mamx-bf16 -mamx-int8
//
// The products of rows.h on tiles, of any geometry. A tile has 16 rows that are evenly apart, and positions
// of one class seldom are: so what the taps of some strips of 32 positions meet is gathered, as lines of 64
// bytes in the order of tiles, into L2, for all columns. Then, for 32 columns at a time, a pass takes 9 steps
// of the depth of their panel, 18 KB in L1, to one strip after the other.
//
//     gathered   (strip, tap, piece, step, tile of positions, 16, 64 bytes)
//     panel      (tap, step, 16 rows, 16 columns, 4 bytes) of 16 columns: Rows::panel
#include <algorithm>
#include <cstring>

#include "base/threads.h"
#include "rows.h"
#include "strips.h"

namespace binarynet::training {

namespace {

constexpr size_t kPass = 9;               // steps
constexpr size_t kGathered = 1200 << 10;  // bytes of the strips of a part
constexpr size_t kMostStrips = 32;
constexpr size_t kSum = kBlock * kBlock;

// What stands behind the sums of 16 columns: value = (mul sum + add) (scale row_scale), or the sum.
struct Finish {
    bool integers;
    int mul;
    __m512i add;
    __m512 scale;
    __m512 operator()(__m512 sum, float row_scale) const {
        if (!integers) return sum;
        const __m512i whole =
            _mm512_add_epi32(_mm512_mullo_epi32(_mm512_castps_si512(sum), _mm512_set1_epi32(mul)), add);
        return _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_mul_ps(scale, _mm512_set1_ps(row_scale)));
    }
};

// The first `count` bytes of a line.
inline __mmask64 first_bytes(size_t count) {
    return count >= kLine ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

// One part of the positions, gathered.
class Gathered {
 public:
    Gathered(const Rows& rows, const Part& part) : rows_(rows), part_(part) {
        const size_t position = rows.g.groups * rows.steps * 4;
        const size_t piece = rows.g.images * rows.y.sources * rows.x.sources * position;
        for (size_t i = 0; i < part.y->taps.size(); ++i)
            for (size_t j = 0; j < part.x->taps.size(); ++j) {
                const ptrdiff_t apart =
                    part.y->apart[i] * static_cast<ptrdiff_t>(rows.x.sources) + part.x->apart[j];
                taps_.push_back(part.y->taps[i] * rows.g.x.kernel + part.x->taps[j]);
                // Negative ones wrap, and come back when they are added.
                for (size_t p = 0; p < rows.pieces; ++p)
                    from_.push_back(static_cast<size_t>(apart * static_cast<ptrdiff_t>(position)) +
                                    p * piece);
            }
        tap_steps_ = rows.panel_steps() / kHalf;
        steps_ = from_.size() * tap_steps_;
        for (size_t k = 0; k < steps_; ++k) {
            const size_t tap = taps_[k / tap_steps_ / rows.pieces], step = k % tap_steps_;
            left_at_.push_back(k * kStep);
            right_at_.push_back(tap * rows.tap_bytes() + step * kTile);
        }
    }
    size_t strips() const { return divide_up(part_.end - part_.begin, kBlock); }
    size_t strip_bytes() const { return steps_ * kStep; }
    const std::vector<size_t>& taps() const { return taps_; }

    void gather(size_t group, uint8_t* to) const {
        const size_t position = rows_.g.groups * rows_.steps * 4, bytes = rows_.steps * 4;
        Position at(part_, part_.begin);
        for (size_t begin = part_.begin; begin < part_.end; begin += kBlock) {
            const uint8_t* from[kBlock];
            const size_t here = std::min(kBlock, part_.end - begin);
            for (size_t r = 0; r < here; ++r, at.next())
                from[r] = rows_.left + rows_.source(part_, at) * position + group * bytes;
            for (size_t r = here; r < kBlock; ++r) from[r] = from[0];
            for (const size_t tap : from_)
                for (size_t step = 0; step < tap_steps_; ++step, to += kStep)
                    if (rows_.left_signs)
                        signs(from, tap, step, to);
                    else
                        lines(from, tap + step * kLine, first_bytes(bytes - step * kLine), to);
        }
    }

    // Sums of all strips and of one or two panels, one of which is the other where there is none.
    template <class U>
    void multiply(const uint8_t* left, const uint8_t* const (&right)[2], float* sums) const {
        const size_t passes = divide_up(steps_, kPass);
        TileStrip strips[kMostStrips];
        for (size_t i = 0; i < this->strips(); ++i) {
            const uint8_t* const a = left + i * strip_bytes();
            strips[i] = {{a, a + kTile}, {right[0], right[1]}, sums + i * kSum};
        }
        if (!passes) std::fill_n(sums, this->strips() * kSum, 0.0f);
        Offsets a, b;
        for (size_t pass = 0; pass < passes; ++pass) {
            const size_t begin = steps_ * pass / passes, end = steps_ * (pass + 1) / passes;
            a.assign(left_at_.begin() + static_cast<ptrdiff_t>(begin),
                     left_at_.begin() + static_cast<ptrdiff_t>(end));
            b.assign(right_at_.begin() + static_cast<ptrdiff_t>(begin),
                     right_at_.begin() + static_cast<ptrdiff_t>(end));
            accumulate<U>(strips, this->strips(), a, b, pass != 0);
        }
    }

 private:
    void lines(const uint8_t* const (&from)[kBlock], size_t at, __mmask64 there, uint8_t* to) const {
        for (size_t r = 0; r < kBlock; ++r, to += kLine)
            _mm512_store_si512(to, _mm512_maskz_loadu_epi8(there, from[r] + at));
    }
    void signs(const uint8_t* const (&from)[kBlock], size_t at, size_t step, uint8_t* to) const {
        const bool both = 2 * step + 1 < rows_.steps;
        const __mmask64 there = first_bytes(rows_.depth_each() - step * kLine);
        const __m512i minus = _mm512_set1_epi8(-1), plus = _mm512_set1_epi8(1);
        for (size_t r = 0; r < kBlock; ++r, to += kLine) {
            uint32_t words[2] = {};
            std::memcpy(words, from[r] + at + step * 8, both ? 8 : 4);
            const __mmask64 positive = words[0] | uint64_t{words[1]} << 32;
            _mm512_store_si512(to, _mm512_maskz_mov_epi8(there, _mm512_mask_mov_epi8(minus, positive, plus)));
        }
    }

    const Rows& rows_;
    const Part& part_;
    std::vector<size_t> taps_, from_;  // from_: (tap, piece), bytes
    size_t tap_steps_, steps_;
    Offsets left_at_, right_at_;
};

}  // namespace

void Rows::run_on_tiles(int threads) const {
    const size_t each = blocks_each(), pairs = divide_up(each, 2), blocks = g.groups * each;
    const size_t width = columns_each() * g.groups, columns = kernel.columns;
    const size_t most_bytes = g.taps() * pieces * panel_steps() / kHalf * kStep;  // of a strip
    const size_t most = std::clamp<size_t>(kGathered / most_bytes, 1, kMostStrips);
    // Each thread has some parts, if there are so many strips.
    const size_t strips = divide_up(g.images * y.places * x.places, kBlock);
    const size_t some = std::clamp<size_t>(strips / (static_cast<size_t>(threads) * 2), 1, most);
    const std::vector<Part> parts = parts_of(y, x, g.images, some * kBlock, kBlock);
    std::vector<Gathered> gathered;
    gathered.reserve(parts.size());
    for (const Part& part : parts) gathered.emplace_back(*this, part);

    const bool integers = unit == Unit::kBytes;
    const bool aligned =
        width % kHalf == 0 && columns_each() % kHalf == 0 && reinterpret_cast<uintptr_t>(out) % kLine == 0;
    const size_t panel_size = panel_bytes(), sum_count = g.taps() * columns;
    float* const all_sums = reinterpret_cast<float*>(
        workspace(Use::kSums, static_cast<size_t>(threads) * some * kSum * sizeof(float)));

    // A part and 32 columns: `right` and `right_sums` are those of its panels, one behind the other.
    const auto work = [&](size_t part, const uint8_t* left_tiles, size_t group, size_t pair,
                          const uint8_t* right, const int32_t* right_sums, int slot) {
        const size_t block = 2 * pair;
        const bool both = block + 1 < each;
        float* const sums = all_sums + static_cast<size_t>(slot) * some * kSum;
        const uint8_t* const panels[2] = {right, both ? right + panel_size : right};
        {
            const Tiles tiles;
            if (!integers)
                gathered[part].multiply<Bfloat16>(left_tiles, panels, sums);
            else if (left_signs)
                gathered[part].multiply<Bytes>(left_tiles, panels, sums);
            else
                gathered[part].multiply<Codewords>(left_tiles, panels, sums);
        }
        Finish finish[2];
        __mmask16 there[2] = {};
        for (size_t t = 0; t < (both ? 2u : 1u); ++t) {
            const size_t first_column = (block + t) * columns;
            there[t] = first(columns_each() - first_column);
            finish[t] = {integers, mul, _mm512_setzero_si512(), _mm512_set1_ps(scale)};
            if (scales)
                finish[t].scale = _mm512_mul_ps(
                    _mm512_maskz_loadu_ps(there[t], scales + group * columns_each() + first_column),
                    finish[t].scale);
            if (integers && this->each)
                for (const size_t tap : gathered[part].taps()) {
                    const __m512i sum = _mm512_loadu_si512(right_sums + t * sum_count + tap * columns);
                    finish[t].add = _mm512_add_epi32(finish[t].add,
                                                     _mm512_mullo_epi32(sum, _mm512_set1_epi32(this->each)));
                }
        }
        const Part& positions = parts[part];
        Position at(positions, positions.begin);
        for (size_t n = positions.begin, i = 0; n < positions.end; ++n, ++i, at.next()) {
            float* const to = out + place(positions, at) * width + group * columns_each() + block * columns;
            const float* const from = sums + i / kBlock * kSum + i % kBlock * kHalf;
            const float row_scale = row_scales ? row_scales[at.image] : 1.0f;
            for (size_t t = 0; t < (both ? 2u : 1u); ++t) {
                const __m512 value = finish[t](_mm512_load_ps(from + t * 2 * kHalf * kHalf), row_scale);
                if (aligned)
                    _mm512_stream_ps(to + t * columns, value);
                else
                    _mm512_mask_storeu_ps(to + t * columns, there[t], value);
            }
        }
        _mm_sfence();
    };

    // Few positions: all are gathered first, and a task is a pair of panels, which it makes. Many: panels are
    // made first, and a task is a part, which it gathers.
    const bool by_columns = parts.size() < static_cast<size_t>(threads) * 4;
    const size_t slots = static_cast<size_t>(threads), part_bytes = some * most_bytes;
    const size_t panels = by_columns ? 2 * slots : blocks + 1;
    uint8_t* const tiles_of =
        workspace(Use::kLeft, (by_columns ? parts.size() * g.groups : slots) * part_bytes);
    uint8_t* const made = workspace(Use::kRight, panels * (panel_size + sum_count * sizeof(int32_t)));
    int32_t* const made_sums = reinterpret_cast<int32_t*>(made + panels * panel_size);
    if (by_columns) {
        parallel_for(parts.size() * g.groups, threads, [&](size_t task, int) {
            gathered[task / g.groups].gather(task % g.groups, tiles_of + task * part_bytes);
        });
        parallel_for(g.groups * pairs, threads, [&](size_t task, int slot) {
            const size_t group = task / pairs, pair = task % pairs, own = 2 * static_cast<size_t>(slot);
            for (size_t t = 0; t < 2 && 2 * pair + t < each; ++t)
                panel(group * each + 2 * pair + t, made + (own + t) * panel_size,
                      made_sums + (own + t) * sum_count);
            for (size_t part = 0; part < parts.size(); ++part)
                work(part, tiles_of + (part * g.groups + group) * part_bytes, group, pair,
                     made + own * panel_size, made_sums + own * sum_count, slot);
        });
        return;
    }
    parallel_for(blocks, threads, [&](size_t block, int) {
        panel(block, made + block * panel_size, made_sums + block * sum_count);
    });
    parallel_for(parts.size() * g.groups, threads, [&](size_t task, int slot) {
        const size_t part = task / g.groups, group = task % g.groups;
        uint8_t* const tiles = tiles_of + static_cast<size_t>(slot) * part_bytes;
        gathered[part].gather(group, tiles);
        for (size_t pair = 0; pair < pairs; ++pair) {
            const size_t block = group * each + 2 * pair;
            work(part, tiles, group, pair, made + block * panel_size, made_sums + block * sum_count, slot);
        }
    });
}

}  // namespace binarynet::training
