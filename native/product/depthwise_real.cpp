#include "depthwise_real.h"

#include <algorithm>
#include <stdexcept>

#include "base/memory.h"

namespace binarynet {

// Where a position sees its pixels.
struct RealDepthwise::Taps {
    const float** at;
    size_t* steps;
};

bool RealDepthwise::takes(const Shape& shape) {
    return shape.window && shape.groups > 1 && shape.groups == shape.from.channels &&
           shape.groups == shape.channels;
}

RealDepthwise::RealDepthwise(std::string op, int source, int target, const Shape& shape,
                             const std::vector<float>& weight, int pad_value)
    : Product(std::move(op), {source}, target),
      from_(shape.from),
      window_(*shape.window),
      outside_(shape.channels, static_cast<float>(pad_value)) {
    const size_t taps = window_.taps();
    if (weight.size() != checked_product(shape.channels, taps))
        throw std::invalid_argument("weights must be " + std::to_string(shape.channels) + " rows of " +
                                    std::to_string(taps) + " numbers");
    weight_.resize(weight.size());
    for (size_t c = 0; c < shape.channels; ++c)
        for (size_t t = 0; t < taps; ++t) weight_[t * shape.channels + c] = weight[c * taps + t];
}

size_t RealDepthwise::scratch_bytes() const {
    return window_.taps() * (sizeof(float*) + sizeof(size_t));
}

Work RealDepthwise::work(const Frame& frame) const {
    const double sums = double(frame.images) * double(positions()) * double(from_.channels);
    Work work(Work::stored, sums);
    // A product reads a number and a weight; the others read a weight for many.
    work[Work::products] = 2 * sums * double(window_.taps()) / 1024;
    return work;
}

// Positions whose windows lie within the image from left to right are one call, each of the others is one.
void RealDepthwise::run_row(const Frame& frame, size_t image, size_t oy, const Taps& taps) const {
    const Window& w = window_;
    const size_t channels = from_.channels, width = w.out_width();
    const float* const pixels = frame.at<float>(reads()[0]) + image * from_.numbers();
    DepthwiseReals d{};
    d.taps = taps.at;
    d.steps = taps.steps;
    d.count_taps = w.taps();
    d.channels = channels;
    d.weights = weight_.data();
    const auto inside = [&](size_t ox) {
        return ox * w.stride_x >= w.left && w.column(ox, w.kernel_width - 1) < w.width;
    };
    for (size_t ox = 0; ox < width; ox += d.count) {
        d.count = 1;
        while (inside(ox) && ox + d.count < width && inside(ox + d.count)) ++d.count;
        size_t tap = 0;
        for (size_t ky = 0; ky < w.kernel_height; ++ky) {
            const size_t iy = w.row(oy, ky);
            for (size_t kx = 0; kx < w.kernel_width; ++kx, ++tap) {
                const size_t ix = w.column(ox, kx);
                const bool there = iy < w.height && ix < w.width;
                taps.at[tap] = there ? pixels + (iy * w.width + ix) * channels : outside_.data();
                taps.steps[tap] = there ? w.stride_x * channels : 0;
            }
        }
        d.out = frame.at<float>(writes()) + ((image * w.out_height() + oy) * width + ox) * channels;
        frame.kernels.depthwise_reals(d);
    }
}

void RealDepthwise::run(const Frame& frame) const {
    const size_t rows = window_.out_height();
    frame.split(work(frame), frame.images * rows, 1, [&](size_t begin, size_t end, int slot) {
        uint8_t* scratch = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
        const Taps taps{reinterpret_cast<const float**>(scratch),
                        reinterpret_cast<size_t*>(scratch + window_.taps() * sizeof(float*))};
        for (size_t row = begin; row < end; ++row) run_row(frame, row / rows, row % rows, taps);
    });
}

}  // namespace binarynet
