// The products of reals of every instruction set of this CPU, on whole numbers, whose sums are exact.
#include <cmath>

#include "base/memory.h"
#include "kernels/dispatch.h"
#include "kernels/panels.h"
#include "numbers.h"
#include "random.h"

using namespace binarynet;

namespace {

// Whole numbers, whose float32 sums are exact in every order.
std::vector<float> whole_numbers(size_t count, int largest) {
    std::vector<float> numbers(count);
    for (auto& x : numbers)
        x = static_cast<float>(static_cast<int>(generator() % (2u * static_cast<unsigned>(largest) + 1)) -
                               largest);
    return numbers;
}

// Two calls that meet in the middle; what no call covers keeps its mark.
template <class Args, class Call>
void test_real_product(Args g, const char* where, size_t rows, size_t channels, size_t panels,
                       const std::vector<float>& want, bool add, Call&& call) {
    const size_t stride = channels + 2;
    std::vector<float> out(rows * stride, -77);
    g.channels = channels;
    g.out = out.data();
    g.out_stride = stride;
    for (size_t half = 0; half < 2; ++half) {
        g.panel_begin = half ? panels / 2 : 0;
        g.panel_end = half ? panels : panels / 2;
        call(g);
    }
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < stride; ++c) {
            const float expected = c < channels ? want[r * channels + c] + (add ? -77.0f : 0.0f) : -77.0f;
            SAME(out[r * stride + c] == expected, "%s row %zu channel %zu", where, r, c);
        }
}

void test_select(const Kernels& k, size_t rows, size_t channels, size_t depth, float zero, float one,
                 bool add) {
    char where[160];
    std::snprintf(where, sizeof where, "%s rows %zu channels %zu depth %zu bits %g %g", k.name, rows,
                  channels, depth, double(zero), double(one));
    const size_t stride = depth + 3;
    const auto x = whole_numbers(rows * stride, 9);
    const auto weights = packed_rows(channels, depth);
    const Panels panels(k.panel, weights.data(), channels, words_for(depth), depth);
    std::vector<float> want(rows * channels);
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < channels; ++c)
            for (size_t i = 0; i < depth; ++i)
                want[r * channels + c] +=
                    x[r * stride + i] * (bit(&weights[c * words_for(depth)], i) ? one : zero);
    GemmSelect g{};
    g.rows = x.data();
    g.row_count = rows;
    g.row_stride = stride;
    g.depth = depth;
    g.panels = panels.data();
    g.units = panels.units();
    g.zero = zero;
    g.one = one;
    g.add = add;
    test_real_product(g, where, rows, channels, panels.count(), want, add, k.gemm_select);
}

template <typename W, class Call>
void test_real(const Kernels& k, size_t rows, size_t channels, size_t depth, Call&& call) {
    char where[160];
    std::snprintf(where, sizeof where, "%s rows %zu channels %zu depth %zu, %zu-byte weights", k.name, rows,
                  channels, depth, sizeof(W));
    const size_t stride = depth + 3, panels = (channels + kRealLanes - 1) / kRealLanes;
    const auto x = whole_numbers(rows * stride, 9), w = whole_numbers(channels * depth, 127);
    Buffer laid(panels * depth * kRealLanes * sizeof(W));
    std::vector<float> want(rows * channels);
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < depth; ++i) {
            laid.as<W>()[(c / kRealLanes * depth + i) * kRealLanes + c % kRealLanes] =
                static_cast<W>(w[c * depth + i]);
            for (size_t r = 0; r < rows; ++r) want[r * channels + c] += x[r * stride + i] * w[c * depth + i];
        }
    GemmReal<W> g{};
    g.rows = x.data();
    g.row_count = rows;
    g.row_stride = stride;
    g.depth = depth;
    g.panels = laid.as<W>();
    test_real_product(g, where, rows, channels, panels, want, false, call);
}

// Neighbouring positions under taps that move with them, and one that lies outside the image.
void test_depthwise(const Kernels& k, size_t channels, size_t taps, size_t count) {
    const size_t step = 2 * channels;
    const auto x = whole_numbers((taps + 2 * count) * channels, 9), outside = whole_numbers(channels, 9),
               w = whole_numbers(taps * channels, 127);
    std::vector<const float*> at(taps);
    std::vector<size_t> steps(taps, step);
    for (size_t t = 0; t < taps; ++t) at[t] = x.data() + t * channels;
    at[taps / 2] = outside.data();
    steps[taps / 2] = 0;
    std::vector<float> out(count * channels + 1, -77);
    k.depthwise_reals({at.data(), steps.data(), taps, count, channels, w.data(), out.data()});
    for (size_t i = 0; i < count; ++i)
        for (size_t c = 0; c < channels; ++c) {
            float sum = 0;
            for (size_t t = 0; t < taps; ++t) sum += at[t][i * steps[t] + c] * w[t * channels + c];
            SAME(out[i * channels + c] == sum, "%s channels %zu taps %zu position %zu channel %zu", k.name,
                 channels, taps, i, c);
        }
    SAME(out.back() == -77, "%s channels %zu taps %zu", k.name, channels, taps);
}

}  // namespace

TEST_CASE("depthwise products of reals") {
    for (const Kernels* k : available_kernels())
        for (size_t channels : {1, 3, 4, 15, 16, 17, 63, 64, 65, 130})
            for (size_t taps : {1, 2, 9, 25})
                for (size_t count : {1, 2, 7}) test_depthwise(*k, channels, taps, count);
}

TEST_CASE("products of reals") {
    for (const Kernels* k : available_kernels()) {
        for (size_t depth : {1, 3, 4, 5, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1100})
            for (size_t channels : {1, 15, 17, 33, 65}) {
                const size_t rows = 1 + (depth + channels) % 9;
                test_select(*k, rows, channels, depth, -1, 1, false);
                test_select(*k, rows, channels, depth, 0, channels % 2 ? 1.0f : -2.0f, true);
                test_real<float>(*k, rows, channels, depth, k->gemm_real_f32);
                test_real<int8_t>(*k, rows, channels, depth, k->gemm_real_i8);
            }
        for (size_t rows : {64, 65, 71, 130}) {
            test_select(*k, rows, 33, 70, -1, 1, false);
            test_real<float>(*k, rows, 33, 300, k->gemm_real_f32);
            test_real<int8_t>(*k, rows, 49, 300, k->gemm_real_i8);
        }
    }
}
