// Pools: what moves a window over an image and makes one number of those under it.
#pragma once

#include <algorithm>
#include <memory>

#include "step.h"
#include "window.h"

namespace binarynet {

// The taps of one axis that lie inside the image: [first, last) of the kernel.
struct Inside {
    size_t first, last;

    Inside(size_t place, size_t stride, size_t before, size_t kernel, size_t size) {
        const size_t start = place * stride;  // in the padded image
        first = start < before ? before - start : 0;
        last = std::min(kernel, start < size + before ? size + before - start : 0);
    }
};

// Pools on numbers, of which one under a window counts Rule::count. Rule::begin(c) and Rule::take(running, x,
// c) work on one channel, Rule::end(running, c) finishes it.
template <typename T, class Rule>
class Pool final : public Step {
 public:
    Pool(std::string op, int source, int target, size_t channels, const Window& window, Rule rule)
        : Step(std::move(op), {source}, target),
          channels_(channels),
          window_(window),
          rule_(std::move(rule)) {}

    void run(const Frame& frame) const override {
        const T* in = frame.at<T>(reads()[0]);
        T* out = frame.at<T>(writes());
        const size_t rows = window_.out_height(), columns = window_.out_width();
        frame.split(work(frame), frame.images * rows, 1, [&](size_t begin, size_t end, int) {
            for (size_t place = begin; place < end; ++place) {
                const T* image = in + place / rows * window_.height * window_.width * channels_;
                const size_t oy = place % rows;
                const Inside y(oy, window_.stride_y, window_.top, window_.kernel_height, window_.height);
                for (size_t ox = 0; ox < columns; ++ox) {
                    const Inside x(ox, window_.stride_x, window_.left, window_.kernel_width, window_.width);
                    T* pixel = out + (place * columns + ox) * channels_;
                    for (size_t c = 0; c < channels_; ++c) pixel[c] = rule_.begin(c);
                    for (size_t ky = y.first; ky < y.last; ++ky) {
                        for (size_t kx = x.first; kx < x.last; ++kx) {
                            const T* under =
                                image +
                                (window_.row(oy, ky) * window_.width + window_.column(ox, kx)) * channels_;
                            for (size_t c = 0; c < channels_; ++c)
                                pixel[c] = rule_.take(pixel[c], under[c], c);
                        }
                    }
                    for (size_t c = 0; c < channels_; ++c) pixel[c] = rule_.end(pixel[c], c);
                }
            }
        });
    }
    Work work(const Frame& frame) const override {
        const size_t numbers = window_.positions() * window_.taps() * channels_;
        return {std::is_same_v<T, uint8_t> ? Work::pooled_codes : Rule::count,
                double(frame.images) * double(numbers)};
    }
    std::string kernel(const Frame&) const override {
        return std::is_same_v<T, float> ? "float32" : std::is_same_v<T, uint8_t> ? "codes" : "int32";
    }

 private:
    size_t channels_;
    Window window_;
    Rule rule_;
};

}  // namespace binarynet
