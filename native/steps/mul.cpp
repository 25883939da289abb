#include "elementwise.h"
#include "steps.h"

namespace binarynet {

namespace {

// A size of the factor is that of the source, or 1.
class MulStep final : public Step {
 public:
    MulStep(std::string op, int source, int factor, int target, const Value& value, const Value& by)
        : Step(std::move(op), {source, factor}, target),
          height_(value.height),
          width_(value.width),
          channels_(value.channels),
          factor_numbers_(by.numbers()),
          down_(by.height > 1 ? by.width * by.channels : 0),
          right_(by.width > 1 ? by.channels : 0),
          each_(by.channels > 1) {}

    void run(const Frame& frame) const override {
        const float *in = frame.at<float>(reads()[0]), *factors = frame.at<float>(reads()[1]);
        float* out = frame.at<float>(writes());
        frame.split(work(frame), frame.images * height_, 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row) {
                const float* line = factors + row / height_ * factor_numbers_ + row % height_ * down_;
                for (size_t column = 0; column < width_; ++column) {
                    const float* factor = line + column * right_;
                    const size_t at = (row * width_ + column) * channels_;
                    const float *x = in + at, one = *factor;
                    float* y = out + at;
                    if (each_)
                        for (size_t c = 0; c < channels_; ++c) y[c] = x[c] * factor[c];
                    else
                        for (size_t c = 0; c < channels_; ++c) y[c] = x[c] * one;
                }
            }
        });
    }
    Work work(const Frame& frame) const override { return elementwise(frame, height_ * width_ * channels_); }
    std::string kernel(const Frame&) const override { return "float32"; }

 private:
    size_t height_, width_, channels_;
    size_t factor_numbers_, down_, right_;  // of an image; to the factor of the next row, of the next column
    bool each_;                             // channel has a factor of its own
};

}  // namespace

std::unique_ptr<Step> make_mul(std::string op, int source, int factor, int target, const Value& value,
                               const Value& by) {
    return std::make_unique<MulStep>(std::move(op), source, factor, target, value, by);
}

}  // namespace binarynet
