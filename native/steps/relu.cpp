#include "elementwise.h"
#include "rows.h"
#include "steps.h"

namespace binarynet {

namespace {

template <typename T>
class ReluStep final : public RowStep {
 public:
    ReluStep(std::string op, int source, int target, const Value& value)
        : RowStep(std::move(op), {source}, target, value, value.channels * sizeof(T)),
          numbers_(value.numbers()) {}

    void apply(const Frame&, const void* in, const void*, void* out, size_t count) const override {
        const T* x = static_cast<const T*>(in);
        T* y = static_cast<T*>(out);
        const size_t numbers = count * width();
        EACH_BY_ITSELF
        for (size_t i = 0; i < numbers; ++i) y[i] = x[i] < 0 ? 0 : x[i];  // NaN stays NaN
    }
    Work counts(const Frame& frame) const override { return elementwise(frame, numbers_); }
    std::string kernel(const Frame&) const override { return std::is_same_v<T, float> ? "float32" : "int32"; }

 private:
    size_t numbers_;
};

}  // namespace

std::unique_ptr<Step> make_relu(std::string op, int source, int target, const Value& value) {
    if (value.store == Value::i32)
        return std::make_unique<ReluStep<int32_t>>(std::move(op), source, target, value);
    return std::make_unique<ReluStep<float>>(std::move(op), source, target, value);
}

}  // namespace binarynet
