#include <stdexcept>

#include "elementwise.h"
#include "functions.h"
#include "rows.h"
#include "steps.h"

namespace binarynet {

namespace {

template <class Function>
class ApplyStep final : public RowStep {
 public:
    ApplyStep(std::string op, int source, int target, const Value& value)
        : RowStep(std::move(op), {source}, target, value, value.channels * sizeof(float)) {}

    void apply(const Frame&, const void* in, const void*, void* out, size_t count) const override {
        const float* x = static_cast<const float*>(in);
        float* y = static_cast<float*>(out);
        for (size_t i = 0; i < count * width(); ++i) y[i] = Function()(x[i]);
    }
    Work counts(const Frame& frame) const override {
        Work work = elementwise(frame, rows() * width());
        work[Work::elements] *= Function::elements;
        return work;
    }
    std::string kernel(const Frame&) const override { return Function::name; }
};

}  // namespace

std::unique_ptr<Step> make_apply(std::string op, int source, int target, const Value& value,
                                 const std::string& function) {
    if (function == Sigmoid::name)
        return std::make_unique<ApplyStep<Sigmoid>>(std::move(op), source, target, value);
    if (function == Tanh::name)
        return std::make_unique<ApplyStep<Tanh>>(std::move(op), source, target, value);
    if (function == Erf::name) return std::make_unique<ApplyStep<Erf>>(std::move(op), source, target, value);
    if (function == Sqrt::name)
        return std::make_unique<ApplyStep<Sqrt>>(std::move(op), source, target, value);
    if (function == Reciprocal::name)
        return std::make_unique<ApplyStep<Reciprocal>>(std::move(op), source, target, value);
    throw std::invalid_argument(op + ": the function " + function +
                                " is none of sigmoid, tanh, erf, sqrt, reciprocal");
}

}  // namespace binarynet
