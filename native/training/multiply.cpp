// compile (.*): -fno-math-errno -fno-trapping-math
//
// Products whose rows are positions, set up: forward, and the gradient of the input with its rounding.
// rows.cpp runs them.
#include "multiply.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/threads.h"
#include "draws.h"
#include "each_length.h"
#include "interleave.h"
#include "products.h"
#include "rounding.h"
#include "rows.h"
#include "scratch.h"

namespace binarynet::training {

namespace {

constexpr size_t kFewest = 16;  // numbers of a tile's depth, or columns: of fewer, most of it is zeros

#if defined(__x86_64__)
// Signs (filter, tap, words) as products.h has them: (block of filters, block of channels, tap, filter).
std::vector<uint32_t> in_blocks(const ConvShape& shape, const void* signs) {
    const size_t taps = shape.kernel_height * shape.kernel_width, words = divide_up(shape.channels, 32);
    std::vector<uint32_t> blocks(conv_sign_words(shape));
    for (size_t f = 0; f < shape.filters; ++f)
        for (size_t tap = 0; tap < taps; ++tap)
            for (size_t c = 0; c < words; ++c)
                blocks[((f / 32 * words + c) * taps + tap) * 32 + f % 32] =
                    static_cast<const uint32_t*>(signs)[(f * taps + tap) * words + c];
    return blocks;
}
#endif

}  // namespace

#if defined(__x86_64__)
bool as_bands(const Kernel& kernel, const Geometry& g, ConvShape& shape) {
    const auto keeps_size = [](const Side& s) {
        return s.stride == 1 && s.dilation == 1 && s.kernel == 2 * s.padding + 1;
    };
    shape = {g.images, g.y.size, g.x.size, g.channels, g.filters, g.y.kernel, g.x.kernel};
    return kernel.other && g.groups == 1 && keeps_size(g.y) && keeps_size(g.x) && g.in_pixels() > 1 &&
           conv_takes_signs(shape);
}
#endif

const Kernel& multiplier(const Kernel& kernel, const Geometry& g, Product product, Unit unit) {
    if (!kernel.other) return kernel;
    // A gradient of weights whose windows are gathered has those as its channels (multiply_weights.cpp).
    const size_t channels =
        product == Product::kWeightGradient && g.groups == 1 ? g.channels * g.taps() : g.channels_each();
    const bool few = std::min(channels, g.filters_each()) < kFewest;
    return few || unit == Unit::kFloat32 ? *kernel.other : kernel;
}

void forward(const Kernel& given, const Geometry& g, const Input& x, const Weights& w, float* y,
             int threads) {
    const Kernel& kernel = multiplier(given, g, Product::kForward, Unit::kBytes);
    const bool signs = x.codes.form == Form::kBits, tiles = kernel.other;
    const bool bits = signs && w.form == Form::kBits && !tiles, left_signs = signs && tiles;
#if defined(__x86_64__)
    if (ConvShape shape; signs && w.form == Form::kBits && as_bands(kernel, g, shape))
        return conv_of_signs(shape, static_cast<const uint32_t*>(x.numbers),
                             in_blocks(shape, w.numbers).data(), w.scales, y, threads);
#endif
    const Unit unit = bits ? Unit::kBits : Unit::kBytes;
    const size_t steps = divide_up(g.channels_each(), numbers_in_step(left_signs ? Unit::kBits : unit));
    const uint8_t* left = static_cast<const uint8_t*>(x.numbers);
    Codes codes = x.codes;
    std::vector<uint8_t> expanded;
    if (!bits && !left_signs && signs) {  // ±1 as 0 and 2, less 1
        const size_t each = g.channels_each(), words = divide_up(each, 32),
                     rows = g.images * g.in_pixels() * g.groups;
        expanded.resize(rows * steps * 4);
        const uint32_t* const from = static_cast<const uint32_t*>(x.numbers);
        const size_t parts = divide_up(rows * each, size_t{1} << 15);
        parallel_for(parts, threads, [&](size_t part, int) {
            for (size_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row)
                for (size_t c = 0; c < each; ++c)
                    expanded[row * steps * 4 + c] =
                        static_cast<uint8_t>((from[row * words + c / 32] >> c % 32 & 1) * 2);
        });
        left = expanded.data();
        codes.offset = -1, codes.step = 1;
    }
    const Rows product{kernel,
                       g,
                       unit,
                       true,
                       Axis::forward(g.y),
                       Axis::forward(g.x),
                       left,
                       left_signs,
                       static_cast<size_t>(codes.pieces),
                       steps,
                       w,
                       bits ? -2 : codes.step,
                       codes.offset,
                       w.scales,
                       nullptr,
                       codes.scale,
                       y};
    product.run(threads);
}

void input_gradient(const Kernel& given, const Geometry& g, const Rounding& rounding, const float* gradient,
                    const Weights& w, float* dx, int threads) {
    const Unit unit = rounding.unit;
    const Kernel& kernel = multiplier(given, g, Product::kInputGradient, unit);
#if defined(__x86_64__)
    if (ConvShape shape; unit == Unit::kBfloat16 && w.form == Form::kBits && as_bands(kernel, g, shape))
        return conv_input_gradient(shape, {gradient}, 1, in_blocks(shape, w.numbers).data(), w.scales, dx,
                                   threads);
#endif
    const size_t each = g.filters_each(), steps = divide_up(each, numbers_in_step(unit)),
                 pixels = g.out_pixels();
    const bool scaled = std::any_of(w.scales, w.scales + g.filters, [](float scale) { return scale != 1; });
    const uint8_t* left = reinterpret_cast<const uint8_t*>(gradient);
    std::vector<float> images, factors;
    if (unit == Unit::kBytes) {
        images.assign(rounding.images, rounding.images + g.images);
        factors.resize(g.images * g.filters);
        for (size_t n = 0; n < g.images; ++n)
            for (size_t f = 0; f < g.filters; ++f)
                factors[n * g.filters + f] = rounding_factor(images[n], rounding.levels) * w.scales[f];
        for (float& most : images) most /= static_cast<float>(rounding.levels);
    }
    if (unit != Unit::kFloat32 || scaled) {
        const size_t size = unit == Unit::kBytes      ? 1
                            : unit == Unit::kBfloat16 ? 2
                                                      : 4,
                     row_bytes = g.groups * steps * 4;
        uint8_t* const packed = scratch(Scratch::kLeft, g.images * pixels * row_bytes);
        const size_t draws_each = divide_up(g.filters, 4);
        uint64_t* const draws = reinterpret_cast<uint64_t*>(
            scratch(Scratch::kTasks, static_cast<size_t>(threads) * draws_each * sizeof(uint64_t)));
        parallel_for(g.images * g.y.out(), threads, [&](size_t line, int slot) {
            uint64_t* const own = draws + static_cast<size_t>(slot) * draws_each;
            for (size_t row = line * g.x.out(); row < (line + 1) * g.x.out(); ++row) {
                const float* const from = gradient + row * g.filters;
                if (unit == Unit::kBytes) draw(draw_state(rounding.seed, row * draws_each), own, draws_each);
                for (size_t group = 0; group < g.groups; ++group) {
                    uint8_t* const to = packed + row * row_bytes + group * steps * 4;
                    const size_t f = group * each;
                    if (unit == Unit::kBytes)
                        round_at_random(from + f, factors.data() + row / pixels * g.filters + f, each,
                                        reinterpret_cast<const uint16_t*>(own) + f, rounding.levels, to);
                    else if (unit == Unit::kBfloat16)
                        round_to_bfloat16(from + f, scaled ? w.scales + f : nullptr, each,
                                          reinterpret_cast<uint16_t*>(to));
                    else
                        for (size_t i = 0; i < each; ++i)
                            reinterpret_cast<float*>(to)[i] = from[f + i] * w.scales[f + i];
                    std::memset(to + each * size, 0, steps * 4 - each * size);
                }
            }
        });
        left = packed;
    }
    const Rows product{kernel,
                       g,
                       unit,
                       false,
                       Axis::backward(g.y),
                       Axis::backward(g.x),
                       left,
                       false,
                       1,
                       steps,
                       w,
                       2,
                       -rounding.levels,
                       nullptr,
                       unit == Unit::kBytes ? images.data() : nullptr,
                       1,
                       dx};
    product.run(threads);
}

}  // namespace binarynet::training
