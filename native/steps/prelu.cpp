#include <cstdint>

#include "elementwise.h"
#include "rows.h"
#include "steps.h"

namespace binarynet {

namespace {

// std::bit_cast, which the C++ library of Emscripten 3.1.6 has not, nor that of GCC 10.
template <typename To, typename From>
inline To as(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

class PReluStep final : public RowStep {
 public:
    PReluStep(std::string op, int source, int target, const Value& value, std::vector<float> slope)
        : RowStep(std::move(op), {source}, target, value, value.channels * sizeof(float)),
          slope_(std::move(slope)) {}

    void apply(const Frame&, const void* in, const void*, void* out, size_t count) const override {
        const size_t channels = slope_.size();
        const float *x = static_cast<const float*>(in), *slope = slope_.data();
        float* y = static_cast<float*>(out);
        for (; count; --count, x += channels, y += channels) {
            EACH_BY_ITSELF
            for (size_t c = 0; c < channels; ++c) {
                const float straight = x[c], bent = straight * slope[c];
                // Chosen by bits: for a ?: GCC jumps, and where signs are random half of the jumps are
                // foreseen.
                const uint32_t rises = -static_cast<uint32_t>(straight >= 0);
                y[c] = as<float>((as<uint32_t>(straight) & rises) | (as<uint32_t>(bent) & ~rises));
            }
        }
    }
    Work counts(const Frame& frame) const override {
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
