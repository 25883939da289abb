#include "steps.h"

namespace binarynet {

namespace {

template <typename T>
class Widen final : public Step {
 public:
    Widen(std::string op, int source, int target, const Value& from)
        : Step(std::move(op), {source}, target), from_(from) {}

    void run(const Frame& frame) const override {
        T* out = frame.at<T>(writes());
        const size_t channels = from_.channels;
        const int32_t low = from_.code.low, step = from_.code.step;
        if (from_.store == Value::bits) {
            const uint64_t* in = frame.at<uint64_t>(reads()[0]);
            const size_t words = from_.row_words();
            frame.split(work(frame), frame.images * from_.pixels(), 1, [&](size_t row, size_t end, int) {
                for (; row < end; ++row)
                    for (size_t c = 0; c < channels; ++c)
                        out[row * channels + c] = static_cast<T>(
                            int32_t(in[row * words + c / kWord] >> c % kWord & 1) * step + low);
            });
        } else {
            const uint8_t* in = frame.at<uint8_t>(reads()[0]);
            frame.split(work(frame), frame.images * from_.pixels(), 1, [&](size_t row, size_t end, int) {
                for (size_t i = row * channels; i < end * channels; ++i)
                    out[i] = static_cast<T>(in[i] * step + low);
            });
        }
    }
    Work work(const Frame& frame) const override {
        return {from_.store == Value::bits ? Work::widened_bits : Work::widened_codes,
                double(frame.images) * double(from_.numbers())};
    }
    std::string kernel(const Frame&) const override {
        return std::is_same_v<T, float> ? "codes to float32" : "codes to int32";
    }

 private:
    Value from_;
};

}  // namespace

std::unique_ptr<Step> make_widen(std::string op, int source, int target, const Value& from, bool to_float) {
    if (to_float) return std::make_unique<Widen<float>>(std::move(op), source, target, from);
    return std::make_unique<Widen<int32_t>>(std::move(op), source, target, from);
}

}  // namespace binarynet
