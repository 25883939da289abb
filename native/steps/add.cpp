#include "elementwise.h"
#include "rows.h"
#include "steps.h"

namespace binarynet {

namespace {

template <typename T, T (*join)(T, T)>
class JoinStep final : public RowStep {
 public:
    JoinStep(std::string op, int left, int right, int target, const Value& value)
        : RowStep(std::move(op), {left, right}, target, value, value.channels * sizeof(T)),
          numbers_(value.numbers()) {}

    void apply(const Frame&, const void* in, const void* beside, void* out, size_t count) const override {
        const T *left = static_cast<const T*>(in), *right = static_cast<const T*>(beside);
        T* made = static_cast<T*>(out);
        const size_t numbers = count * width();
        EACH_BY_ITSELF
        for (size_t i = 0; i < numbers; ++i) made[i] = join(left[i], right[i]);
    }
    Work counts(const Frame& frame) const override {
        return {Work::added, double(frame.images) * double(numbers_)};
    }
    std::string kernel(const Frame&) const override { return std::is_same_v<T, float> ? "float32" : "int32"; }

 private:
    size_t numbers_;
};

template <typename T>
T sum(T a, T b) {
    return a + b;
}

float product(float a, float b) {
    return a * b;
}

}  // namespace

std::unique_ptr<Step> make_add(std::string op, int left, int right, int target, const Value& value) {
    if (value.store == Value::i32)
        return std::make_unique<JoinStep<int32_t, sum<int32_t>>>(std::move(op), left, right, target, value);
    return std::make_unique<JoinStep<float, sum<float>>>(std::move(op), left, right, target, value);
}

std::unique_ptr<Step> make_product(std::string op, int left, int right, int target, const Value& value) {
    return std::make_unique<JoinStep<float, product>>(std::move(op), left, right, target, value);
}

}  // namespace binarynet
