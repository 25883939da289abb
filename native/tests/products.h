// One Linear or Conv2d of any shape and ending on a forced kernel, for the tests of the kernels.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "network/network.h"
#include "numbers.h"
#include "random.h"

namespace binarynet {
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
    const char* encoding = "b1";
    bool skewed = false;  // weights are +1 for the first half of the channels, −1 for the others
};

inline PackedWeights weights(size_t channels, size_t depth) {
    return {Code{}, channels, packed_rows(channels, depth)};
}

inline PackedWeights skewed_weights(size_t channels, size_t depth, size_t pixel) {
    std::vector<uint64_t> rows(channels * words_for(depth));
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < depth; ++i)
            rows[c * words_for(depth) + i / kWord] |= uint64_t{i % pixel < pixel / 2} << i % kWord;
    return {Code{}, channels, std::move(rows)};
}

inline void build(Network& network, const Case& c) {
    generator.seed(c.height * 7 + c.channels * 3 + c.filters);
    int x = network.add_input({c.height, c.width, c.channels}, c.encoding);
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
        x = network.add_conv2d(
            "product", x, c.skewed ? skewed_weights(c.filters, depth, c.channels) : weights(c.filters, depth),
            w, 1, c.pad_value);
    }
    const int32_t largest = Code::parse(c.encoding).largest(), spread = largest > 1 ? largest : 1;
    const auto far = static_cast<int32_t>(depth) * spread;
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
                table.i32.push_back(generator() % 4 ? (static_cast<int32_t>(generator() % 41) - 20) * spread
                                                    : ends[generator() % 5]);
            table.rising.push_back(c.ending == Ending::bits || generator() % 2);
        }
        x = network.add_threshold("end", x, std::move(table));
        // Who reads whole words finds nothing behind the last output.
        if (c.ending == Ending::bits && c.dense && largest == 1)
            x = network.add_linear("reader", x, weights(20, c.filters));
    }
    network.finish(x);
}

// One product on a kernel against popcount in portable C++, whose own oracle is a loop over single bits.
inline void compare(const Kernels& k, const char* kernel, const Case& c, size_t images) {
    char where[200];
    std::snprintf(where, sizeof where,
                  "%s %s of %s %zux%zux%zu -> %zu, kernel %zux%zu stride %zu dilation %zu padding %zu of %d, "
                  "%zu images",
                  k.name, kernel, c.encoding, c.height, c.width, c.channels, c.filters, c.kernel_height,
                  c.kernel_width, c.stride, c.dilation, c.padding, c.pad_value, images);
    Network expected("portable", 1, "popcount");
    build(expected, c);
    std::vector<uint8_t> input(images * expected.input_numbers());
    const auto largest = static_cast<uint8_t>(Code::parse(c.encoding).largest());
    for (auto& code : input)
        code = largest == 1           ? static_cast<int>(generator() % 8) < c.ones_of_eight
               : c.ones_of_eight == 8 ? largest
                                      : static_cast<uint8_t>(generator() & largest);
    std::vector<int32_t> want(images * expected.output_numbers());
    expected.run(input.data(), images, want.data());
    for (int threads : {1, 2}) {
        Network network(k.name, threads, kernel);
        build(network, c);
        // Twice: what the first run, of other images, left in memory must not matter.
        std::vector<int32_t> got(want.size(), 0x5a5a5a5a);
        const std::vector<uint8_t> other(input.size(), c.ones_of_eight > 4 ? largest : 0);
        network.run(other.data(), images, got.data());
        network.run(input.data(), images, got.data());
        for (size_t i = 0; i < want.size(); ++i)
            SAME(got[i] == want[i], "%s: number %zu is %d, not %d", where, i, got[i], want[i]);
    }
}

}  // namespace
}  // namespace binarynet
