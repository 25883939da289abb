// Products by the vertical kernels against those by popcount, whose own oracle is a loop over single bits:
// every ending, window, padding and sign balance, at the edges of words, chunks, blocks, parts and pairs.
#include <algorithm>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "network/network.h"
#include "numbers.h"
#include "random.h"

using namespace binarynet;

namespace {

enum class Ending { bits, falling_or_rising_bits, int32, codes, reals };

struct Case {
    size_t height, width, channels, filters;
    size_t kernel_height = 1, kernel_width = 1;
    size_t stride = 1, dilation = 1, padding = 0;
    int pad_value = 0;
    bool dense = false;
    Ending ending = Ending::falling_or_rising_bits;
    int ones_of_eight = 4;  // how many inputs are +1
};

PackedWeights weights(size_t channels, size_t depth) {
    return {Code{}, channels, packed_rows(channels, depth)};
}

void build(Network& network, const Case& c) {
    generator.seed(c.height * 7 + c.channels * 3 + c.filters);
    int x = network.add_input({c.height, c.width, c.channels}, "b1");
    size_t depth = c.height * c.width * c.channels;
    if (c.dense) {
        x = network.add_linear("product", network.add_flatten("flat", x), weights(c.filters, depth));
    } else {
        Window w{};
        w.kernel_height = c.kernel_height;
        w.kernel_width = c.kernel_width;
        w.stride_x = w.stride_y = c.stride;
        w.dilation_x = w.dilation_y = c.dilation;
        w.top = w.bottom = w.left = w.right = c.padding;
        depth = c.kernel_height * c.kernel_width * c.channels;
        x = network.add_conv2d("product", x, weights(c.filters, depth), w, 1, c.pad_value);
    }
    const auto far = static_cast<int32_t>(depth);
    if (c.ending == Ending::reals) {
        std::vector<float> scale(c.filters), offset(c.filters);
        for (size_t i = 0; i < c.filters; ++i) scale[i] = 0.5f, offset[i] = static_cast<float>(i % 3);
        network.finish(network.add_affine("end", x, {scale, offset}));
        return;
    }
    if (c.ending != Ending::int32) {
        ThresholdTable table;
        table.code = Code::parse(c.ending == Ending::codes ? "u2" : "b1");
        const int32_t ends[] = {-far - 1, -far, far, far + 1, 0};
        for (size_t i = 0; i < c.filters; ++i) {
            for (int32_t level = 1; level < table.code.count; ++level)
                table.i32.push_back(generator() % 4 ? static_cast<int32_t>(generator() % 41) - 20
                                                    : ends[generator() % 5]);
            table.rising.push_back(c.ending == Ending::bits || generator() % 2);
        }
        x = network.add_threshold("end", x, std::move(table));
        // Who reads whole words finds nothing behind the last output.
        if (c.ending == Ending::bits && c.dense) x = network.add_linear("reader", x, weights(20, c.filters));
    }
    network.finish(x);
}

void compare(const Kernels& k, const Case& c, size_t images) {
    char where[200];
    std::snprintf(
        where, sizeof where,
        "%s %zux%zux%zu -> %zu, kernel %zux%zu stride %zu dilation %zu padding %zu of %d, %zu images", k.name,
        c.height, c.width, c.channels, c.filters, c.kernel_height, c.kernel_width, c.stride, c.dilation,
        c.padding, c.pad_value, images);
    Network expected("portable", 1, "popcount");
    build(expected, c);
    std::vector<uint8_t> input(images * expected.input_numbers());
    for (auto& code : input) code = static_cast<int>(generator() % 8) < c.ones_of_eight;
    std::vector<int32_t> want(images * expected.output_numbers());
    expected.run(input.data(), images, want.data());
    for (int threads : {1, 2}) {
        Network network(k.name, threads, "vertical");
        build(network, c);
        // Twice: what the first run, of other images, left in memory must not matter.
        std::vector<int32_t> got(want.size(), 0x5a5a5a5a);
        const std::vector<uint8_t> other(input.size(), c.ones_of_eight > 4);
        network.run(other.data(), images, got.data());
        network.run(input.data(), images, got.data());
        for (size_t i = 0; i < want.size(); ++i)
            SAME(got[i] == want[i], "%s: number %zu is %d, not %d", where, i, got[i], want[i]);
    }
}

}  // namespace

TEST_CASE("vertical products") {
    for (const Kernels* k : available_kernels()) {
        const long before = compared;
        for (size_t depth : {1, 63, 64, 65, 511, 512, 513, 1100, 16000})
            for (size_t filters : {1, 8, 65, 130}) {
                Case c{1, 1, depth, filters};
                c.dense = true;
                c.ones_of_eight = static_cast<int>(filters % 9);
                compare(*k, c, depth % 2 ? 5 : 4);
                c.ending = filters % 2 ? Ending::int32 : Ending::codes;
                compare(*k, c, 1);
            }
        for (size_t filters : {127, 128, 255, 256, 257, 511, 512, 513, 1030})
            for (Ending ending : {Ending::bits, Ending::int32, Ending::reals}) {
                Case c{1, 1, 200, filters};
                c.dense = true;
                c.ending = ending;
                for (size_t images : {1, 2, 31, 300}) compare(*k, c, images);
            }
        // A flattened image whose pixels have tails, mostly −1 and mostly +1.
        for (int ones : {0, 1, 4, 7, 8}) {
            Case c{3, 3, 70, 140};
            c.dense = true;
            c.ones_of_eight = ones;
            compare(*k, c, 5);
        }
        for (int pad_value : {0, 1, -1})
            for (size_t filters : {9, 64, 100, 128, 200, 256, 300, 600})
                for (int ones : {1, 4, 7}) {
                    Case c{5, 6, 40 + filters % 60, filters, 3, 3};
                    c.padding = 1;
                    c.pad_value = pad_value;
                    c.ones_of_eight = ones;
                    c.ending = Ending(static_cast<int>(filters + static_cast<size_t>(ones)) % 5);
                    compare(*k, c, 1 + filters % 3);
                }
        for (size_t kernel : {1, 2, 3, 4, 5})
            for (size_t stride : {1, 2, 3})
                for (size_t dilation : {1, 2}) {
                    Case c{11, 9, 64, 96, kernel, kernel > 2 ? kernel - 1 : kernel};
                    c.stride = stride;
                    c.dilation = dilation;
                    c.padding = kernel / 2;
                    compare(*k, c, 2);
                    c.ending = Ending::int32;
                    c.channels = 130;
                    c.filters = 40;
                    compare(*k, c, 1);
                }
        for (size_t channels : {448, 512, 520, 1100})  // pixels of one chunk, and of several
            for (size_t width : {1, 2, 7}) {
                Case c{4, width, channels, 70, 3, 3};
                c.padding = 1;
                compare(*k, c, 3);
            }
        Case wide{3, 300, 64, 64, 3, 3};  // a row that is a part by itself
        wide.padding = 1;
        wide.ending = Ending::reals;
        compare(*k, wide, 2);
        report(k->name, compared - before);
    }
}
