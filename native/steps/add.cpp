#include "elementwise.h"
#include "steps.h"

namespace binarynet {

namespace {

template <typename T>
class AddStep final : public Step {
 public:
    AddStep(std::string op, int left, int right, int target, size_t numbers)
        : Step(std::move(op), {left, right}, target), numbers_(numbers) {}

    void run(const Frame& frame) const override {
        const T *left = frame.at<T>(reads()[0]), *right = frame.at<T>(reads()[1]);
        T* out = frame.at<T>(writes());
        for_numbers(frame, numbers_, [=](size_t i) { out[i] = left[i] + right[i]; });
    }
    Work work(const Frame& frame) const override { return elementwise(frame, numbers_); }
    std::string kernel(const Frame&) const override { return std::is_same_v<T, float> ? "float32" : "int32"; }

 private:
    size_t numbers_;
};

}  // namespace

std::unique_ptr<Step> make_add(std::string op, int left, int right, int target, const Value& value) {
    if (value.store == Value::i32)
        return std::make_unique<AddStep<int32_t>>(std::move(op), left, right, target, value.numbers());
    return std::make_unique<AddStep<float>>(std::move(op), left, right, target, value.numbers());
}

}  // namespace binarynet
