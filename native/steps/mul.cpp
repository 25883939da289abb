#include "elementwise.h"
#include "steps.h"

namespace binarynet {

namespace {

class MulStep final : public Step {
 public:
    MulStep(std::string op, int source, int factor, int target, const Value& value)
        : Step(std::move(op), {source, factor}, target), pixels_(value.pixels()), channels_(value.channels) {}

    void run(const Frame& frame) const override {
        const float *in = frame.at<float>(reads()[0]), *factor = frame.at<float>(reads()[1]);
        float* out = frame.at<float>(writes());
        frame.split(work(frame), frame.images * pixels_, 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row)
                for (size_t i = row * channels_; i < (row + 1) * channels_; ++i) out[i] = in[i] * factor[row];
        });
    }
    Work work(const Frame& frame) const override { return elementwise(frame, pixels_ * channels_); }
    std::string kernel(const Frame&) const override { return "float32"; }

 private:
    size_t pixels_, channels_;
};

}  // namespace

std::unique_ptr<Step> make_mul(std::string op, int source, int factor, int target, const Value& value) {
    return std::make_unique<MulStep>(std::move(op), source, factor, target, value);
}

}  // namespace binarynet
