// compile (.*): -fno-math-errno -fno-trapping-math
#include "lanes.h"

#include <algorithm>
#include <vector>

#include "base/threads.h"
#include "draws.h"
#include "each_length.h"
#include "interleave.h"
#include "rounding.h"
#include "scratch.h"

namespace binarynet::training {

Reach reach(const Side& s, size_t tap) {
    const size_t at = tap * s.dilation;
    const size_t begin = at >= s.padding ? 0 : divide_up(s.padding - at, s.stride);
    size_t end = 0;
    if (s.size + s.padding > at) end = std::min(s.out(), divide_up(s.size + s.padding - at, s.stride));
    return {begin, std::max(begin, end), begin * s.stride + at - s.padding};
}

namespace {

constexpr size_t kMostChannels = 64;  // of all taps: windows of so few are gathered

EACH_LENGTH void decode(const uint8_t* first, const uint8_t* second, int step, int offset, size_t count,
                        float* __restrict x) {
    if (second)
        for (size_t i = 0; i < count; ++i) x[i] = static_cast<float>(step * (first[i] + second[i]) + offset);
    else
        for (size_t i = 0; i < count; ++i) x[i] = static_cast<float>(step * first[i] + offset);
}

// Few channels: the windows become the channels of a 1 × 1 convolution, (image, y, x, channel, tap).
std::vector<float> windows(const Geometry& g, const Input& x, int threads) {
    const size_t taps = g.taps(), out = g.out_pixels(), channels = g.channels, each = g.channels_each();
    const size_t padded = divide_up(each, 4) * 4, words = divide_up(each, 32), codes = code_bytes(g);
    std::vector<float> found(g.images * out * channels * taps);
    std::vector<Reach> rows, columns;
    for (size_t i = 0; i < g.y.kernel; ++i) rows.push_back(reach(g.y, i));
    for (size_t j = 0; j < g.x.kernel; ++j) columns.push_back(reach(g.x, j));
    parallel_for(g.images * g.y.out(), threads, [&](size_t line, int) {
        const size_t image = line / g.y.out(), oy = line % g.y.out();
        for (size_t i = 0; i < g.y.kernel; ++i) {
            if (oy < rows[i].begin || oy >= rows[i].end) continue;
            const size_t iy = rows[i].source + (oy - rows[i].begin) * g.y.stride;
            for (size_t j = 0; j < g.x.kernel; ++j)
                for (size_t ox = columns[j].begin; ox < columns[j].end; ++ox) {
                    const size_t ix = columns[j].source + (ox - columns[j].begin) * g.x.stride;
                    const size_t pixel = (image * g.y.size + iy) * g.x.size + ix;
                    float* to = found.data() + (line * g.x.out() + ox) * channels * taps + i * g.x.kernel + j;
                    for (size_t c = 0; c < channels; ++c, to += taps) {
                        if (x.codes.form == Form::kReal) {
                            *to = static_cast<const float*>(x.numbers)[pixel * channels + c];
                        } else if (x.codes.form == Form::kBits) {
                            const size_t group = c / each, in = c % each;
                            const uint32_t word = static_cast<const uint32_t*>(
                                x.numbers)[(pixel * g.groups + group) * words + in / 32];
                            *to = word >> in % 32 & 1 ? 1.0f : -1.0f;
                        } else {
                            const uint8_t* const code = static_cast<const uint8_t*>(x.numbers) +
                                                        (pixel * g.groups + c / each) * padded + c % each;
                            const int sum = code[0] + (x.codes.pieces == 2 ? code[codes] : 0);
                            *to = static_cast<float>(x.codes.step * sum + x.codes.offset);
                        }
                    }
                }
        }
    });
    return found;
}

// Room for a multiple of 16 numbers.
size_t room(size_t count) {
    return divide_up(count, 16) * 16;
}

}  // namespace

Lanes::Lanes(const Geometry& given, const Rounding& rounding, const float* gradient, const Input& x,
             bool long_rows, int threads)
    : rounding_(rounding), gradient_(gradient), g_(given), x_(x) {
    numbers_ = numbers_in_step(rounding.unit);
    if (g_.groups == 1 && g_.taps() > 1 && g_.channels * g_.taps() <= kMostChannels) {
        windows_ = windows(g_, x_, threads);
        x_ = {{Form::kReal, 1, x.codes.scale, 1, 0, x.codes.most}, windows_.data()};
        g_ = {g_.images, g_.channels * g_.taps(),  g_.filters,
              1,         {g_.y.out(), 1, 1, 0, 1}, {g_.x.out(), 1, 1, 0, 1}};
    }
    g_rows_ = g_.images * g_.out_pixels(), x_rows_ = g_.images * g_.in_pixels();
    const bool pointwise =
        g_.taps() == 1 && g_.y.stride == 1 && g_.x.stride == 1 && !g_.y.padding && !g_.x.padding;
    if (pointwise && (long_rows || g_.in_pixels() < 64)) {
        const size_t each = divide_up(x_rows_, numbers_);
        g_.images = numbers_, g_.y = {1, 1, 1, 0, 1}, g_.x = {each, 1, 1, 0, 1};
    }
    factors_.resize(g_.filters), scales_.assign(g_.filters, x_.codes.scale);
    for (size_t f = 0; unit() == Unit::kBytes && f < g_.filters; ++f) {
        factors_[f] = rounding_factor(rounding.filters[f], rounding.levels);
        scales_[f] *= rounding.filters[f] / static_cast<float>(rounding.levels);
    }
    draws_each_ = divide_up(g_.filters, 4), code_bytes_ = code_bytes(given);
}

size_t Lanes::own_bytes() const {
    return divide_up(draws_each_ * 8 + 4 * room(draws_each_ * 4) + 4 * room(g_.channels_each()) * 4, 64) * 64;
}

void Lanes::gradient(size_t image_group, size_t pixel, size_t group, uint8_t* own, uint32_t* lanes) const {
    const size_t each = g_.filters_each(), pixels = g_.out_pixels();
    uint64_t* const draws = reinterpret_cast<uint64_t*>(own);
    uint8_t* const rounded = own + draws_each_ * 8;
    const float* reals[4] = {};
    const uint8_t* bytes[4] = {};
    for (size_t i = 0; i < numbers_; ++i) {
        const size_t row = (image_group * numbers_ + i) * pixels + pixel;
        if (row >= g_rows_) continue;
        reals[i] = gradient_ + row * g_.filters + group * each;
        if (unit() != Unit::kBytes) continue;
        draw(draw_state(rounding_.seed, row * draws_each_), draws, draws_each_);
        uint8_t* const to = rounded + i * room(draws_each_ * 4);
        round_at_random(reals[i], factors_.data() + group * each, each,
                        reinterpret_cast<const uint16_t*>(draws) + group * each, levels(), to);
        bytes[i] = to;
    }
    if (unit() == Unit::kBytes)
        interleave(bytes, each, lanes);
    else
        interleave(unit(), reals, each, lanes);
}

void Lanes::input(size_t image_group, size_t pixel, size_t group, uint8_t* own, uint32_t* lanes) const {
    const size_t each = g_.channels_each(), pixels = g_.in_pixels();
    const auto row_of = [&](size_t i) { return (image_group * numbers_ + i) * pixels + pixel; };
    if (x_.codes.form == Form::kBits) {
        const size_t words = divide_up(each, 32);
        const uint32_t* signs[4] = {};
        for (size_t i = 0; i < numbers_; ++i)
            if (row_of(i) < x_rows_)
                signs[i] = static_cast<const uint32_t*>(x_.numbers) + (row_of(i) * g_.groups + group) * words;
        interleave_signs(unit(), signs, 0, room(each), lanes);
        return;
    }
    float* const real = reinterpret_cast<float*>(own);
    const size_t padded = divide_up(each, 4) * 4;
    const float* reals[4] = {};
    for (size_t i = 0; i < numbers_; ++i) {
        if (row_of(i) >= x_rows_) continue;
        if (x_.codes.form == Form::kReal) {
            reals[i] = static_cast<const float*>(x_.numbers) + row_of(i) * g_.channels + group * each;
            continue;
        }
        const uint8_t* const from =
            static_cast<const uint8_t*>(x_.numbers) + (row_of(i) * g_.groups + group) * padded;
        decode(from, x_.codes.pieces == 2 ? from + code_bytes_ : nullptr, x_.codes.step, x_.codes.offset,
               each, real + i * room(each));
        reals[i] = real + i * room(each);
    }
    interleave(unit(), reals, each, lanes);
}

}  // namespace binarynet::training
