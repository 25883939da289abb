#include "steps.h"

namespace binarynet {

namespace {

class PReluStep final : public Step {
 public:
    PReluStep(std::string op, int source, int target, const Value& value, std::vector<float> slope)
        : Step(std::move(op), {source}, target),
          rows_(value.numbers() / slope.size()),
          slope_(std::move(slope)) {}

    void run(const Frame& frame) const override {
        const float* in = frame.at<float>(reads()[0]);
        float* out = frame.at<float>(writes());
        const size_t channels = slope_.size();
        frame.split(work(frame), frame.images * rows_, 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row) {
                for (size_t c = 0; c < channels; ++c) {
                    const float x = in[row * channels + c];
                    out[row * channels + c] = x >= 0 ? x : x * slope_[c];
                }
            }
        });
    }
    Work work(const Frame& frame) const override {
        return {Work::sloped, double(frame.images) * double(rows_ * slope_.size())};
    }
    std::string kernel(const Frame&) const override { return "float32"; }

 private:
    size_t rows_;
    std::vector<float> slope_;
};

}  // namespace

std::unique_ptr<Step> make_prelu(std::string op, int source, int target, const Value& value,
                                 std::vector<float> slope) {
    return std::make_unique<PReluStep>(std::move(op), source, target, value, std::move(slope));
}

}  // namespace binarynet
