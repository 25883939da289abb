// Where the operands of a product lie: images (image, y, x, channel), weights (filter, channel, tap y, tap
// x).
//
// A linear layer is a convolution of images of one pixel, a 1-D convolution one of images of one row.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace binarynet::training {

struct Side {
    size_t size, kernel, stride, padding, dilation;
    size_t out() const { return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; }
};

struct Geometry {
    size_t images, channels, filters, groups;
    Side y, x;
    size_t taps() const { return y.kernel * x.kernel; }
    size_t channels_each() const { return channels / groups; }
    size_t filters_each() const { return filters / groups; }
    size_t in_pixels() const { return y.size * x.size; }
    size_t out_pixels() const { return y.out() * x.out(); }
};

// Along one side: the places of a result, sorted by the taps that meet something there. What lies outside the
// operand is not multiplied at all, so zeros around an image need no rule of their own.
struct Axis {
    struct Group {
        std::vector<size_t> taps, places;
        std::vector<size_t> sources;  // (places): where the operand of the first tap is
        std::vector<ptrdiff_t>
            apart;  // (taps): how far from there that of each tap is, the same for all places
    };
    std::vector<Group> groups;
    size_t places, sources;  // in all

    // Places are outputs, sources are inputs; or, of the gradient of the input, the other way round.
    static Axis forward(const Side& side);
    static Axis backward(const Side& side);
};

}  // namespace binarynet::training
