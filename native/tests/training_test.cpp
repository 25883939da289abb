// The products of a training step on every instruction set, against plain loops over numbers; bits and bytes
// of one seed with ==, whatever multiplied and however many threads. Written for the sanitizers as much as
// for itself: tests/nn compares with torch.
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "numbers.h"
#include "random.h"
#include "training/multiply.h"
#include "training/pool.h"
#include "training/products.h"
#include "training/steps.h"

using namespace binarynet::training;

namespace {

struct Case {
    Geometry g;
    std::vector<float> x, w, gradient;  // w: (filter, channel, taps), numbers times the filter's scale
};

// `large`: of the deepest sums.
Case make(int kind, bool large = false) {
    static const size_t kCounts[] = {1, 3, 7, 16, 31, 33, 63, 64, 65, 70};
    const auto count = [] { return kCounts[any(0, 9)]; };
    const size_t groups = any(0, 3) == 0 ? 2 : 1;
    Geometry g{static_cast<size_t>(any(1, 6)), count() * groups, count() * groups, groups, {}, {}};
    for (Side* side : {&g.y, &g.x}) do {
            *side = {static_cast<size_t>(any(1, 9)), static_cast<size_t>(any(1, 3)),
                     static_cast<size_t>(any(1, 3)), static_cast<size_t>(any(0, 2)),
                     static_cast<size_t>(any(1, 2))};
        } while (side->size + 2 * side->padding < side->dilation * (side->kernel - 1) + 1);
    if (large) g = {6, 70, 70, 1, {9, 3, 1, 1, 1}, {9, 3, 1, 1, 1}};
    Case c{g, {}, {}, {}};
    const float scale = kind == 3 ? 0.3f : 1.0f;
    for (size_t i = 0; i < g.images * g.in_pixels() * g.channels; ++i)
        c.x.push_back(kind == 0   ? static_cast<float>(any(0, 1) * 2 - 1)
                      : kind == 1 ? static_cast<float>(2 * any(0, 255) - 255)
                      : kind == 2 ? static_cast<float>(any(-255, 255))
                                  : static_cast<float>(any(-1, 1)) * scale);
    c.x[0] = kind == 3 ? scale : c.x[0];
    for (size_t f = 0; f < g.filters; ++f) {
        const float size = kind == 3 ? std::fabs(real()) + 0.1f : 1.0f;
        for (size_t i = 0; i < g.channels_each() * g.taps(); ++i)
            c.w.push_back(
                (kind == 2 ? static_cast<float>(any(-3, 3)) : static_cast<float>(any(0, 1) * 2 - 1)) * size);
    }
    for (size_t i = 0; i < g.images * g.out_pixels() * g.filters; ++i) c.gradient.push_back(real());
    return c;
}

// visit(image pixel, its channel, output pixel, filter, weight) for every product.
template <class Visit>
void each_product(const Geometry& g, Visit&& visit) {
    for (size_t n = 0; n < g.images; ++n)
        for (size_t oy = 0; oy < g.y.out(); ++oy)
            for (size_t ox = 0; ox < g.x.out(); ++ox)
                for (size_t i = 0; i < g.y.kernel; ++i)
                    for (size_t j = 0; j < g.x.kernel; ++j) {
                        const size_t iy = oy * g.y.stride + i * g.y.dilation - g.y.padding;
                        const size_t ix = ox * g.x.stride + j * g.x.dilation - g.x.padding;
                        if (iy >= g.y.size || ix >= g.x.size) continue;
                        for (size_t f = 0; f < g.filters; ++f)
                            for (size_t c = 0; c < g.channels_each(); ++c)
                                visit(((n * g.y.size + iy) * g.x.size + ix) * g.channels +
                                          f / g.filters_each() * g.channels_each() + c,
                                      ((n * g.y.out() + oy) * g.x.out() + ox) * g.filters + f,
                                      (f * g.channels_each() + c) * g.taps() + i * g.x.kernel + j);
                    }
}

struct Answers {
    std::vector<float> y, dx[3], dw[3];  // by unit: float32, bfloat16, bytes
    bool packed = true;                  // and unpacked to the same numbers
};
constexpr Unit kUnits[] = {Unit::kFloat32, Unit::kBfloat16, Unit::kBytes};

Answers answer(const Kernel& kernel, const Case& c, int threads) {
    const Geometry& g = c.g;
    Answers found;
    std::vector<uint32_t> signs(sign_words(g)), weight_signs(weight_words(g));
    std::vector<uint8_t> bytes;
    std::vector<int8_t> weight_bytes(c.w.size());
    std::vector<float> scales(g.filters), images(g.images), filters(g.filters);
    Input x{{}, signs.data()};
    if (pack_ones(kernel, g, c.x.data(), signs.data(), threads)) {
        x.codes.form = Form::kBits;
    } else {
        x.codes = find_codes(c.x.data(), c.x.size(), threads);
        found.packed &= x.codes.form == Form::kBytes;
        bytes.resize(static_cast<size_t>(x.codes.pieces) * code_bytes(g));
        pack_codes(g, x.codes, c.x.data(), bytes.data(), threads);
        x.numbers = bytes.data();
    }
    std::vector<float> again(c.x.size());
    unpack(g, x.codes, x.numbers, again.data(), threads);
    found.packed &= again == c.x;
    Weights w{Form::kBits, weight_signs.data(), scales.data()};
    if (!pack_weight_signs(kernel, g, c.w.data(), false, weight_signs.data(), scales.data(), threads)) {
        found.packed &= pack_weight_bytes(g, c.w.data(), weight_bytes.data(), scales.data(), threads);
        w.form = Form::kBytes, w.numbers = weight_bytes.data();
    }
    found.y.resize(c.gradient.size());
    forward(kernel, g, x, w, found.y.data(), threads);
    found.packed &=
        gradient_ranges(g, c.gradient.data(), scales.data(), images.data(), filters.data(), threads);
    for (int u = 0; u < 3; ++u) {
        if (kUnits[u] == Unit::kBfloat16 && !kernel.has_bfloat16()) continue;
        const Rounding rounding{kUnits[u], 254, 11, images.data(), filters.data()};
        found.dx[u].resize(c.x.size());
        input_gradient(kernel, g, rounding, c.gradient.data(), w, found.dx[u].data(), threads);
        if (kUnits[u] == Unit::kBytes && !weight_gradient_fits(g, x.codes.most)) continue;
        found.dw[u].resize(c.w.size());
        weight_gradient(kernel, g, rounding, c.gradient.data(), x, found.dw[u].data(), threads);
    }
    return found;
}

void near(const char* what, const char* kernel, const std::vector<float>& found,
          const std::vector<double>& exact, double bound) {
    double error = 0, size = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
        error += (found[i] - exact[i]) * (found[i] - exact[i]);
        size += exact[i] * exact[i];
    }
    SAME(std::sqrt(error) <= bound * std::sqrt(size) + 1e-30, "%s of %s: %g", what, kernel,
         std::sqrt(error / size));
}

void products() {
    for (int round = 0; round < 24; ++round) {
        const int kind = round % 4;
        const bool limits = round >= 16 && kind < 2;
        Case c = make(kind, limits);
        if (limits) {  // the largest sums there are
            std::fill(c.x.begin() + 1, c.x.end(), kind ? 255.0f : 1.0f);
            c.x[0] = kind ? -253.0f : 1.0f;
            std::fill(c.w.begin(), c.w.end(), 1.0f);
            std::fill(c.gradient.begin(), c.gradient.end(), round >= 20 ? 1.0f : -1.0f);
        }
        std::vector<double> y(c.gradient.size()), dx(c.x.size()), dw(c.w.size());
        each_product(c.g, [&](size_t in, size_t out, size_t weight) {
            y[out] += double{c.x[in]} * c.w[weight];
            dx[in] += double{c.gradient[out]} * c.w[weight];
            dw[weight] += double{c.gradient[out]} * c.x[in];
        });
        const Answers plain = answer(*std::prev(kernels().end())[0], c, 1);
        if (kind < 3)
            SAME(std::equal(y.begin(), y.end(), plain.y.begin()), "forward of integers, kind %d", kind);
        else
            near("forward", "portable", plain.y, y, 1e-6);
        for (const Kernel* kernel : kernels()) {
            if (!kernel->runs()) continue;
            const Answers found = answer(*kernel, c, 1 + round % 3);
            SAME(found.packed, "operands of %s, kind %d", kernel->name, kind);
            SAME(found.y == plain.y, "forward of %s, kind %d", kernel->name, kind);
            SAME(found.dx[2] == plain.dx[2], "gradient of the input in bytes, %s", kernel->name);
            SAME(found.dw[2] == plain.dw[2], "gradient of the weights in bytes, %s", kernel->name);
            near("dx in bytes", kernel->name, found.dx[2], dx, 0.05);
            for (int u = 0; u < 2; ++u) {
                if (found.dx[u].empty()) continue;
                near("dx", kernel->name, found.dx[u], dx, u ? 4e-3 : 1e-5);
                near("dw", kernel->name, found.dw[u], dw, u ? 4e-3 : 1e-5);
            }
        }
    }
}

#if defined(__x86_64__)
// The gradients of a convolution and a pool behind it are those of the one, then of the other, to the bit.
void behind_a_pool(const ConvShape& s, const std::vector<uint32_t>& signs, const Operand& x) {
    const PoolShape pool{s.images, s.height / 2, s.width / 2, s.filters};
    std::vector<float> g(s.images * s.height / 2 * s.width / 2 * s.filters), whole(4 * g.size());
    std::vector<uint8_t> from(g.size());
    for (float& one : g) one = real();
    for (uint8_t& one : from) one = static_cast<uint8_t>(any(0, 3));
    max_pool_gradient(pool, g.data(), from.data(), whole.data(), 2);
    std::vector<float> dx[2], dw[2];
    for (size_t i = 0; i < 2; ++i) {
        const Operand gradient = i ? Operand{g.data(), nullptr, from.data()} : Operand{whole.data()};
        dx[i].resize(s.images * s.height * s.width * s.channels), dw[i].resize(s.filters * s.channels * 9);
        conv_input_gradient(s, gradient, 1, signs.data(), nullptr, dx[i].data(), 2);
        conv_weight_gradient(s, gradient, 1, x, 1, dw[i].data(), 2);
    }
    SAME(dx[0] == dx[1] && dw[0] == dw[1], "behind a pool, %zu pixels", s.height);
}

// The products on the matrix unit: ±1 as bits and as numbers are one, and sums of integers are those of plain
// loops. What real gradients become is compared with torch's in tests/nn; here they only run.
void matrix_unit() {
    for (int round = 0; round < 12; ++round) {
        const bool conv_too = round % 2;
        const size_t kernel = conv_too ? 3 : 1, size = conv_too ? static_cast<size_t>(any(1, 9)) : 1;
        const size_t images = static_cast<size_t>(any(1, conv_too ? 5 : 70));
        const size_t channels = static_cast<size_t>(any(8, 140)), filters = static_cast<size_t>(any(1, 70));
        const Side side{size, kernel, 1, kernel / 2, 1};
        const Geometry g{images, channels, filters, 1, side, side};
        std::vector<float> x(images * size * size * channels), w(filters * channels * kernel * kernel);
        std::vector<float> gradient(images * size * size * filters), dx(x.size());
        for (float& one : x) one = static_cast<float>(any(0, 1) * 2 - 1);
        for (float& one : w) one = real();
        for (float& one : gradient) one = real();
        std::vector<double> exact(gradient.size());
        each_product(g, [&](size_t in, size_t out, size_t weight) {
            exact[out] += double{x[in]} * (w[weight] >= 0 ? 1 : -1);
        });
        std::vector<uint32_t> bits(sign_words(g));
        SAME(pack_ones(best_kernel(), g, x.data(), bits.data(), 2), "%zu numbers", x.size());
        std::vector<float> y[2], dw[2];
        for (int as_bits = 0; as_bits < 2; ++as_bits) {
            const Operand operand = as_bits ? Operand{nullptr, bits.data()} : Operand{x.data(), nullptr};
            y[as_bits].resize(gradient.size()), dw[as_bits].resize(w.size());
            if (conv_too) {
                const ConvShape shape{images, size, size, channels, filters, kernel, kernel};
                std::vector<uint32_t> signs(conv_sign_words(shape));
                SAME(conv_takes_signs(shape), "%zu channels", channels);
                SAME(conv(shape, operand, 1, w.data(), y[as_bits].data(), signs.data(), 2) == 1, "conv");
                conv_input_gradient(shape, {gradient.data()}, 1, signs.data(), nullptr, dx.data(), 2);
                conv_weight_gradient(shape, {gradient.data()}, 1, operand, 1, dw[as_bits].data(), 2);
                if (size % 2 == 0) behind_a_pool(shape, signs, operand);
            } else {
                const LinearShape shape{images, channels, filters};
                std::vector<uint32_t> signs(linear_sign_words(shape));
                SAME(linear(shape, operand, 1, w.data(), y[as_bits].data(), signs.data(), 2), "linear");
                linear_input_gradient(shape, gradient.data(), 1, signs.data(), dx.data(), 2);
                linear_weight_gradient(shape, gradient.data(), 1, operand, 1, dw[as_bits].data(), 2);
            }
            SAME(std::equal(exact.begin(), exact.end(), y[as_bits].begin()), "forward, bits %d", as_bits);
        }
        SAME(dw[0] == dw[1], "gradient of the weights of %zu channels", channels);
    }
}
#endif

}  // namespace

TEST_CASE("the products of a training step are those of plain loops, on every instruction set") {
    products();
    report("training", compared);
}

#if defined(__x86_64__)
TEST_CASE("the matrix unit takes signs as bits and as numbers") {
    if (products_supported()) matrix_unit();
}
#endif

TEST_CASE("several threads train at once, each in memory of its own") {
    std::vector<std::thread> callers;
    const Case c = make(0);
    const Answers alone = answer(best_kernel(), c, 1);
    std::vector<int> equal(4);
    for (int i = 0; i < 4; ++i)
        callers.emplace_back(
            [&, i] { equal[static_cast<size_t>(i)] = answer(best_kernel(), c, 2).y == alone.y; });
    for (std::thread& caller : callers) caller.join();
    for (const int one : equal) SAME(one, "an answer among several callers");
}
