#include "elementwise.h"
#include "steps.h"

namespace binarynet {

namespace {

template <typename T>
class ReluStep final : public Step {
 public:
    ReluStep(std::string op, int source, int target, size_t numbers)
        : Step(std::move(op), {source}, target), numbers_(numbers) {}

    void run(const Frame& frame) const override {
        const T* in = frame.at<T>(reads()[0]);
        T* out = frame.at<T>(writes());
        for_numbers(frame, numbers_, [=](size_t i) { out[i] = in[i] < 0 ? 0 : in[i]; });  // NaN stays NaN
    }
    Work work(const Frame& frame) const override { return elementwise(frame, numbers_); }
    std::string kernel(const Frame&) const override { return std::is_same_v<T, float> ? "float32" : "int32"; }

 private:
    size_t numbers_;
};

}  // namespace

std::unique_ptr<Step> make_relu(std::string op, int source, int target, const Value& value) {
    if (value.store == Value::i32)
        return std::make_unique<ReluStep<int32_t>>(std::move(op), source, target, value.numbers());
    return std::make_unique<ReluStep<float>>(std::move(op), source, target, value.numbers());
}

}  // namespace binarynet
