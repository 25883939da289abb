#include "rows.h"
#include "steps.h"

namespace binarynet {

namespace {

class PReluStep final : public RowStep {
 public:
    PReluStep(std::string op, int source, int target, const Value& value, std::vector<float> slope)
        : RowStep(std::move(op), {source}, target, value, value.channels * sizeof(float)),
          slope_(std::move(slope)) {}

    void apply(const Frame&, const void* in, const void*, void* out, size_t count) const override {
        const size_t channels = slope_.size();
        const float *x = static_cast<const float*>(in), *slope = slope_.data();
        float* y = static_cast<float*>(out);
        for (; count; --count, x += channels, y += channels)
            for (size_t c = 0; c < channels; ++c) {
                const float bent = x[c] * slope[c];
                y[c] = x[c] >= 0 ? x[c] : bent;
            }
    }
    Work work(const Frame& frame) const override {
        return {Work::sloped, double(frame.images) * double(rows() * width())};
    }
    std::string kernel(const Frame&) const override { return "float32"; }

 private:
    std::vector<float> slope_;
};

}  // namespace

std::unique_ptr<Step> make_prelu(std::string op, int source, int target, const Value& value,
                                 std::vector<float> slope) {
    return std::make_unique<PReluStep>(std::move(op), source, target, value, std::move(slope));
}

}  // namespace binarynet
