#include <stdexcept>

#include "elementwise.h"
#include "functions.h"
#include "steps.h"

namespace binarynet {

namespace {

template <class Function>
class ApplyStep final : public Step {
 public:
    ApplyStep(std::string op, int source, int target, size_t numbers)
        : Step(std::move(op), {source}, target), numbers_(numbers) {}

    void run(const Frame& frame) const override {
        const float* in = frame.at<float>(reads()[0]);
        float* out = frame.at<float>(writes());
        frame.split(work(frame), frame.images * numbers_, 64, [=](size_t begin, size_t end, int) {
            for (size_t i = begin; i < end; ++i) out[i] = Function()(in[i]);
        });
    }
    Work work(const Frame& frame) const override {
        Work work = elementwise(frame, numbers_);
        work[Work::elements] *= 16;  // operations in a row
        return work;
    }
    std::string kernel(const Frame&) const override { return Function::name; }

 private:
    size_t numbers_;
};

}  // namespace

std::unique_ptr<Step> make_apply(std::string op, int source, int target, const Value& value,
                                 const std::string& function) {
    const size_t numbers = value.numbers();
    if (function == Sigmoid::name)
        return std::make_unique<ApplyStep<Sigmoid>>(std::move(op), source, target, numbers);
    if (function == Tanh::name)
        return std::make_unique<ApplyStep<Tanh>>(std::move(op), source, target, numbers);
    if (function == Erf::name)
        return std::make_unique<ApplyStep<Erf>>(std::move(op), source, target, numbers);
    throw std::invalid_argument(op + ": the function " + function + " is none of sigmoid, tanh, erf");
}

}  // namespace binarynet
