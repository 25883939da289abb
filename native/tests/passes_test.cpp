// Every pass over memory of a training step, with edges of vectors and parts: the same bits with any number
// of threads.
#include <cmath>
#include <cstring>
#include <vector>

#include "numbers.h"
#include "random.h"
#include "training/multiply.h"
#include "training/norm.h"
#include "training/pool.h"
#include "training/steps.h"

using namespace binarynet::training;

namespace {

// The count ends inside a vector.
void passes() {
    const size_t count = 3 * 32768 + 13;
    std::vector<float> x(count), g(count);
    for (size_t i = 0; i < count; ++i) x[i] = real(), g[i] = real();
    const auto same = [&](const char* what, auto&& pass) {
        std::vector<float> one(count), three(count);
        pass(one, 1);
        pass(three, 3);
        SAME(!std::memcmp(one.data(), three.data(), count * sizeof(float)), "%s", what);
        return one;
    };
    const auto signs =
        same("sign", [&](std::vector<float>& y, int threads) { sign(x.data(), y.data(), count, threads); });
    const auto window = same("window", [&](std::vector<float>& y, int threads) {
        window_gradient(g.data(), x.data(), 0.5f, y.data(), count, threads);
    });
    size_t kept = 0;
    const auto dropped = same("dropout", [&](std::vector<float>& y, int threads) {
        dropout(x.data(), 3, 1u << 30, 4.0f / 3, y.data(), count, threads);
    });
    for (size_t i = 0; i < count; ++i) {
        SAME(signs[i] == (x[i] >= 0 ? 1 : -1), "sign of %zu", i);
        SAME(window[i] == (std::fabs(x[i]) <= 0.5f ? g[i] : 0), "window of %zu", i);
        kept += dropped[i] != 0;
    }
    // A quarter is dropped: within six deviations of count / 4.
    SAME(std::fabs(static_cast<double>(kept) - 0.75 * count) < 6 * std::sqrt(count * 3.0 / 16), "%zu kept",
         kept);
    same("adam", [&](std::vector<float>& w, int threads) {
        std::vector<float> m(count), v(count);
        adam(w.data(), g.data(), m.data(), v.data(), count, {0.1f, 0.999f, 0.001f, 1e-8f, 0.01f, 1, 1},
             threads);
    });
    same("shift adamax", [&](std::vector<float>& w, int threads) {
        std::vector<float> m(count), v(count);
        shift_adamax(w.data(), g.data(), m.data(), v.data(), count, {0.1f, 0.999f, 1e-8f, 0.01f, true, 1},
                     threads);
    });
    const NormShape shape{257, 300};
    same("norm", [&](std::vector<float>& y, int threads) {
        std::vector<float> mean(300), variance(300), scale(300, 2), shift(300, 0.1f), sum(300), product(300);
        norm_statistics(shape, x.data(), mean.data(), variance.data(), threads);
        Narrow unwanted;
        norm_forward(shape, x.data(), scale.data(), shift.data(), true, y.data(), unwanted, threads);
        const NormWindow open{true, 1, scale.data(), shift.data()};
        norm_sums(shape, g.data(), {x.data()}, mean.data(), open, sum.data(), product.data(), threads);
        norm_gradient(shape, g.data(), {x.data()}, mean.data(), open, sum.data(), product.data(), y.data(),
                      threads);
    });
    std::vector<float> integers(257 * 300);
    for (float& one : integers) one = static_cast<float>(any(-32767, 32767));
    std::vector<int16_t> narrow(integers.size());
    for (const Kernel* kernel : kernels()) {
        if (!kernel->runs()) continue;
        std::vector<float> scale(300, 2), shift(300, 0.1f), y(count);
        std::vector<uint32_t> bits(257 * 10);
        Narrow unwanted, refused{narrow.data()}, kept{narrow.data()};
        norm_forward(shape, x.data(), scale.data(), shift.data(), true, y.data(), refused, 2);
        SAME(!refused.fits, "numbers that are no integers");
        SAME(norm_signs(*kernel, shape, x.data(), scale.data(), shift.data(), bits.data(), unwanted, 2),
             "a NaN");
        for (size_t i = 0; i < 257 * 300; ++i)
            SAME((bits[i / 300 * 10 + i % 300 / 32] >> i % 300 % 32 & 1) == (y[i] > 0), "bit %zu", i);
        std::vector<float> with_nan(x);
        with_nan[299] = NAN;
        SAME(!norm_signs(*kernel, shape, with_nan.data(), scale.data(), shift.data(), bits.data(), unwanted,
                         2),
             "a NaN of %s", kernel->name);
        norm_signs(*kernel, shape, integers.data(), scale.data(), shift.data(), bits.data(), kept, 2);
        SAME(kept.fits && std::equal(integers.begin(), integers.end(), narrow.begin()), "integers");
    }
    // The gradient by integers has the bits of that by numbers, in place too; one number too large is found.
    for (const bool sign : {false, true}) {
        std::copy(integers.begin(), integers.end(), narrow.begin());
        std::vector<float> mean(300, 3), scale(300, 2), shift(300, 0.1f), sums[2], dx[2];
        const NormWindow open{sign, 1000, scale.data(), shift.data()};
        for (size_t i = 0; i < 2; ++i) {
            const NormInput input = i ? NormInput{nullptr, narrow.data()} : NormInput{integers.data()};
            sums[i].resize(600), dx[i].assign(g.begin(), g.begin() + 257 * 300);
            norm_sums(shape, g.data(), input, mean.data(), open, sums[i].data(), sums[i].data() + 300, 2);
            norm_gradient(shape, i ? dx[i].data() : g.data(), input, mean.data(), open, sums[i].data(),
                          sums[i].data() + 300, dx[i].data(), 2);
        }
        SAME(sums[0] == sums[1] && dx[0] == dx[1], "integers of 16 bits, sign %d", sign);
        std::vector<float> y(257 * 300);
        integers[257 * 300 - 1] = 32768;
        Narrow refused{narrow.data()};
        norm_forward(shape, integers.data(), scale.data(), shift.data(), sign, y.data(), refused, 2);
        SAME(!refused.fits, "a number of more than 16 bits");
        integers[257 * 300 - 1] = -32767;
    }
    same("pool", [&](std::vector<float>& y, int threads) {
        const PoolShape pooled{3, 5, 4, 33};
        std::vector<float> most(3 * 5 * 4 * 33);
        std::vector<uint8_t> from(most.size());
        max_pool(pooled, x.data(), most.data(), from.data(), threads);
        max_pool_gradient(pooled, most.data(), from.data(), y.data(), threads);
    });
}

}  // namespace

TEST_CASE("a pass over memory gives the same bits with any number of threads") {
    passes();
}
