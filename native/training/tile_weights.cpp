// compile (x86_64|AMD64): -mavx512vl -mavx512dq -mavx512bf16 -mavx512vnni -mamx-tile -mamx-bf16 -mamx-int8
// -mamx-int8
//
// The gradient of the weights on tiles, of any geometry: filters × channels for each tap, and the depth is
// lanes (lanes.h). 16 lanes that lie one after the other are the depth of a tile, in a *line*:
//
//     left    a row of outputs:   pixel 0 of lanes 0 … t − 1, pixel 1 of these, …, zeros to a whole tile
//     right   a row of inputs, with the zeros that stand outside the image: the pixels of a stride's first
//             phase, as above; then those of its next
//
// So a tap is a shift by whole lanes, at any stride. t image groups lie *together*, as many as leave the
// fewest zeros. All lines are one depth: some steps of it, whose operands stay in L2, meet all filters and
// channels.
#include <algorithm>
#include <cstring>

#include "base/threads.h"
#include "lanes.h"
#include "scratch.h"
#include "strips.h"

namespace binarynet::training {

namespace {

constexpr size_t kSteps = 8;        // of a pass: 16 KB of either operand, which all taps meet in L1
constexpr size_t kChunk = 1 << 20;  // bytes of operands in L2
constexpr size_t kLongest = 64;     // tiles of a line that a task packs
constexpr size_t kSum = kBlock * kBlock;

struct Layout {
    const Geometry& g;
    size_t lanes;                             // image groups
    size_t together = 1, lane_groups, tiles;  // tiles: of a line of the left operand
    size_t phase, row, rows;                  // lines of 64 bytes: of a phase, and of a row of inputs; rows
    size_t left_block, right_block;           // bytes of 16 filters, and of 16 channels
    size_t filter_blocks, channel_blocks;

    Layout(const Geometry& geometry, size_t image_groups) : g(geometry), lanes(image_groups) {
        size_t fewest = ~size_t{0};
        for (size_t t = 1; t <= kHalf; t *= 2) {
            const size_t all = divide_up(lanes, t) * divide_up(g.x.out() * t, kHalf);
            if (all < fewest) fewest = all, together = t;
        }
        lane_groups = divide_up(lanes, together), tiles = divide_up(g.x.out() * together, kHalf);
        phase = (g.x.out() + (g.x.kernel - 1) * g.x.dilation / g.x.stride) * together;
        row = g.x.stride * phase;
        rows = (g.y.out() - 1) * g.y.stride + (g.y.kernel - 1) * g.y.dilation + 1;
        left_block = g.y.out() * tiles * kTile;
        right_block = (rows * row + kHalf) * kLine;  // a tile may begin at the last line, and read on
        filter_blocks = divide_up(g.filters_each(), kHalf);
        channel_blocks = divide_up(g.channels_each(), kHalf);
    }
    size_t left_group() const { return g.groups * filter_blocks * left_block; }
    size_t right_group() const { return g.groups * channel_blocks * right_block; }
    size_t steps() const { return lane_groups * g.y.out() * tiles; }
    // Of a step of the depth: the lanes that are no padding, and where it begins.
    size_t there(size_t step) const { return std::min(kHalf, g.x.out() * together - step % tiles * kHalf); }
    size_t left_at(size_t step) const {
        const size_t line = step / tiles;
        return line / g.y.out() * left_group() + (line % g.y.out() * tiles + step % tiles) * kTile;
    }
    size_t right_at(size_t step) const {
        const size_t line = step / tiles;
        return line / g.y.out() * right_group() +
               (line % g.y.out() * g.y.stride * row + step % tiles * kHalf) * kLine;
    }
    size_t shift(size_t tap) const {
        const size_t down = tap / g.x.kernel * g.y.dilation, right = tap % g.x.kernel * g.x.dilation;
        return (down * row + right % g.x.stride * phase + right / g.x.stride * together) * kLine;
    }

    // 16 steps of outputs of a row.
    void pack_left(const Lanes& from, size_t lane_group, size_t y, size_t tile, uint8_t* own,
                   uint8_t* to) const {
        const size_t width = filter_blocks * kHalf;
        uint32_t* const found = reinterpret_cast<uint32_t*>(own + from.own_bytes());
        for (size_t group = 0; group < g.groups; ++group) {
            for (size_t i = 0; i < kHalf; ++i) {
                uint32_t* const lane = found + i * width;
                const size_t q = tile * kHalf + i, x = q / together;
                const size_t which = lane_group * together + q % together;
                if (x < g.x.out() && which < lanes) {
                    from.gradient(which, y * g.x.out() + x, group, own, lane);
                    std::fill(lane + g.filters_each(), lane + width, 0u);
                } else {
                    std::fill_n(lane, width, 0u);
                }
            }
            for (size_t block = 0; block < filter_blocks; ++block) {
                __m512 r[kHalf];
                for (size_t i = 0; i < kHalf; ++i) r[i] = _mm512_loadu_ps(found + i * width + block * kHalf);
                transpose(r);
                uint8_t* const tiles_of =
                    to + (group * filter_blocks + block) * left_block + (y * tiles + tile) * kTile;
                for (size_t i = 0; i < kHalf; ++i) _mm512_store_ps(tiles_of + i * kLine, r[i]);
            }
        }
    }
    // The lines [begin, end) of a row of inputs.
    void pack_right(const Lanes& from, size_t lane_group, size_t y, size_t begin, size_t end, uint8_t* own,
                    uint8_t* to) const {
        uint32_t* const lane = reinterpret_cast<uint32_t*>(own + from.own_bytes());
        for (size_t line = begin; line < end; ++line) {
            const size_t which = lane_group * together + line % together;
            const size_t in_phase = line % phase / together;
            const size_t at_x =
                in_phase * g.x.stride + line / phase - g.x.padding;  // wraps left of the image
            const size_t at_y = y - g.y.padding;
            const bool inside = at_x < g.x.size && at_y < g.y.size && which < lanes;
            for (size_t group = 0; group < g.groups; ++group) {
                if (inside) {
                    from.input(which, at_y * g.x.size + at_x, group, own, lane);
                    std::fill(lane + g.channels_each(), lane + channel_blocks * kHalf, 0u);
                }
                uint8_t* at = to + group * channel_blocks * right_block + (y * row + line) * kLine;
                for (size_t block = 0; block < channel_blocks; ++block, at += right_block)
                    _mm512_store_si512(
                        at, inside ? _mm512_loadu_si512(lane + block * kHalf) : _mm512_setzero_si512());
            }
        }
    }
};

// What the codes' middle takes away, 2 Σ code x − levels Σ x: the sums of x of 16 channels that meet a tap.
__m512i sum_of_inputs(const Layout& layout, const uint8_t* right) {
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
    for (size_t step = 0; step < layout.steps(); ++step) {
        const uint8_t* const lines = right + layout.right_at(step);
        for (size_t i = 0; i < layout.there(step); ++i)
            sum = _mm512_dpbusd_epi32(sum, ones, _mm512_load_si512(lines + i * kLine));
    }
    return sum;
}

}  // namespace

void weight_gradient_on_tiles(const Lanes& lanes, float* dw, int threads) {
    const Geometry& g = lanes.geometry();
    const Layout layout(g, lanes.image_groups());
    const size_t taps = g.taps(), filters = g.filters_each(), channels = g.channels_each();
    const bool integers = lanes.unit() == Unit::kBytes;
    uint8_t* const left = workspace(Use::kLeft, layout.lane_groups * layout.left_group());
    uint8_t* const right = workspace(Use::kRight, layout.lane_groups * layout.right_group());

    // A task packs some of a row of either operand.
    const size_t most_lanes = kHalf * layout.filter_blocks * kHalf + layout.channel_blocks * kHalf + kHalf;
    const size_t own_bytes = round_up(lanes.own_bytes() + most_lanes * sizeof(uint32_t), kLine);
    uint8_t* const own_of = workspace(Use::kWindows, static_cast<size_t>(threads) * own_bytes);
    const size_t shares = divide_up(layout.tiles, kLongest), rows = std::max(g.y.out(), layout.rows);
    parallel_for(layout.lane_groups * rows * shares, threads, [&](size_t task, int slot) {
        const size_t share = task % shares, y = task / shares % rows, group = task / shares / rows;
        uint8_t* const own = own_of + static_cast<size_t>(slot) * own_bytes;
        const auto begin = [&](size_t count, size_t n) { return count * n / shares; };
        if (y < g.y.out())
            for (size_t t = begin(layout.tiles, share); t < begin(layout.tiles, share + 1); ++t)
                layout.pack_left(lanes, group, y, t, own, left + group * layout.left_group());
        uint8_t* const to = right + group * layout.right_group();
        if (y < layout.rows)
            layout.pack_right(lanes, group, y, begin(layout.row, share), begin(layout.row, share + 1), own,
                              to);
        if (y + 1 == layout.rows && share + 1 == shares)
            for (size_t block = 1; block <= g.groups * layout.channel_blocks; ++block)
                std::memset(to + block * layout.right_block - kTile, 0, kTile);
    });
    std::vector<int32_t> ones;
    if (integers) {
        ones.resize(g.groups * layout.channel_blocks * taps * kHalf);
        parallel_for(g.groups * layout.channel_blocks * taps, threads, [&](size_t task, int) {
            _mm512_storeu_si512(
                ones.data() + task * kHalf,
                sum_of_inputs(layout, right + task / taps * layout.right_block + layout.shift(task % taps)));
        });
    }

    // Tasks share filters or channels, of which there are more, in whole pairs of blocks.
    const size_t filter_pairs = divide_up(filters, kBlock), channel_pairs = divide_up(channels, kBlock);
    const size_t wanted = divide_up(static_cast<size_t>(threads) * 2, g.groups);
    const bool by_filters = filter_pairs >= channel_pairs;
    const size_t filter_shares = by_filters ? std::min(filter_pairs, wanted) : 1;
    const size_t channel_shares = by_filters ? 1 : std::min(channel_pairs, wanted);
    const size_t step_bytes = (divide_up(filter_pairs, filter_shares) +
                               divide_up(channel_pairs, channel_shares) * g.x.stride * g.y.stride) *
                              kStep;
    const size_t steps = layout.steps();
    const size_t chunks = divide_up(steps, std::max(kSteps, kChunk / step_bytes));
    // Of one tap nothing is met again in L1.
    const size_t passes = taps == 1 ? chunks : std::max(chunks, divide_up(steps, kSteps));
    std::vector<Offsets> left_at(passes), right_at(passes);
    for (size_t pass = 0; pass < passes; ++pass)
        for (size_t step = steps * pass / passes; step < steps * (pass + 1) / passes; ++step)
            left_at[pass].push_back(layout.left_at(step)), right_at[pass].push_back(layout.right_at(step));

    const size_t pairs = filter_pairs * channel_pairs, own = taps * kSum;
    float* const sums_of = reinterpret_cast<float*>(
        workspace(Use::kSums, (chunks > 1 ? g.groups * pairs : static_cast<size_t>(threads)) * own * 4));
    parallel_for(g.groups * filter_shares * channel_shares, threads, [&](size_t task, int slot) {
        const size_t group = task / (filter_shares * channel_shares);
        const size_t f_share = task / channel_shares % filter_shares, c_share = task % channel_shares;
        std::vector<TileStrip> strips(taps);
        Buffer turned(taps * kBlock * sizeof(float) + kLine);
        const auto each_pair = [&](auto&& visit) {
            for (size_t c = channel_pairs * c_share / channel_shares;
                 c < channel_pairs * (c_share + 1) / channel_shares; ++c)
                for (size_t f = filter_pairs * f_share / filter_shares;
                     f < filter_pairs * (f_share + 1) / filter_shares; ++f)
                    visit(f, c);
        };
        // dw of the sums (tap, tile of channels, tile of filters, 16, 16).
        const auto store = [&](size_t f_pair, size_t c_pair, const float* sums) {
            const size_t count = std::min(kBlock, channels - c_pair * kBlock);
            float* const lines = turned.as<float>();
            for (size_t f = 0; f < kBlock && f_pair * kBlock + f < filters; ++f) {
                const size_t filter = group * filters + f_pair * kBlock + f;
                const __m512 scale = _mm512_set1_ps(lanes.scale(filter));
                float* const to = dw + (filter * channels + c_pair * kBlock) * taps;
                for (size_t c = 0; c < count; c += kHalf) {
                    const auto value = [&](size_t tap) {
                        __m512 sum = _mm512_load_ps(sums + tap * kSum + c / kHalf * kSum / 2 + f * kHalf);
                        if (integers) {
                            const size_t block = group * layout.channel_blocks + c_pair * 2 + c / kHalf;
                            const __m512i middle = _mm512_mullo_epi32(
                                _mm512_loadu_si512(ones.data() + (block * taps + tap) * kHalf),
                                _mm512_set1_epi32(lanes.levels()));
                            const __m512i twice = _mm512_slli_epi32(_mm512_castps_si512(sum), 1);
                            sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(twice, middle));
                        }
                        return _mm512_mul_ps(sum, scale);
                    };
                    if (taps == 1) {
                        if (count - c >= kHalf && reinterpret_cast<uintptr_t>(to + c) % kLine == 0)
                            _mm512_stream_ps(to + c, value(0));
                        else
                            _mm512_mask_storeu_ps(to + c, first(count - c), value(0));
                        continue;
                    }
                    for (size_t tap = 0; tap < taps; tap += kHalf) {
                        __m512 r[kHalf];
                        for (size_t i = 0; i < kHalf; ++i)
                            r[i] = tap + i < taps ? value(tap + i) : _mm512_setzero_ps();
                        transpose(r);
                        for (size_t i = 0; i < std::min(kHalf, count - c); ++i)
                            _mm512_mask_storeu_ps(lines + (c + i) * taps + tap, first(taps - tap), r[i]);
                    }
                }
                if (taps > 1) std::memcpy(to, lines, count * taps * sizeof(float));
            }
        };
        for (size_t chunk = 0; chunk < chunks; ++chunk)
            each_pair([&](size_t f, size_t c) {
                float* const sums = sums_of + (chunks > 1 ? (group * channel_pairs + c) * filter_pairs + f
                                                          : static_cast<size_t>(slot)) *
                                                  own;
                const size_t f_block = group * layout.filter_blocks + 2 * f;
                const size_t c_block = group * layout.channel_blocks + 2 * c;
                const uint8_t* const a = left + f_block * layout.left_block;
                const uint8_t* const b = right + c_block * layout.right_block;
                const uint8_t* const a2 = 2 * f + 1 < layout.filter_blocks ? a + layout.left_block : a;
                const size_t apart = 2 * c + 1 < layout.channel_blocks ? layout.right_block : 0;
                for (size_t tap = 0; tap < taps; ++tap) {
                    const uint8_t* const shifted = b + layout.shift(tap);
                    strips[tap] = {{a, a2}, {shifted, shifted + apart}, sums + tap * kSum};
                }
                {
                    const Tiles tiles;
                    for (size_t pass = passes * chunk / chunks; pass < passes * (chunk + 1) / chunks; ++pass)
                        if (integers)
                            accumulate<Codewords>(strips.data(), taps, left_at[pass], right_at[pass], pass);
                        else
                            accumulate<Bfloat16>(strips.data(), taps, left_at[pass], right_at[pass], pass);
                }
                if (chunk + 1 == chunks) store(f, c, sums);
            });
        _mm_sfence();
    });
}

}  // namespace binarynet::training
