#include "affine.h"

#include "elementwise.h"

namespace binarynet {

namespace {

template <typename T>
void affine(const T* x, const float* scale, const float* offset, size_t channels, float* out) {
    EACH_BY_ITSELF
    for (size_t c = 0; c < channels; ++c) {
        const float product = static_cast<float>(x[c]) * scale[c];  // rounded here,
        out[c] = product + offset[c];                               // and once more here: -ffp-contract=off
    }
}

}  // namespace

void affine_row(const int32_t* x, const float* scale, const float* offset, size_t channels, float* out) {
    affine(x, scale, offset, channels, out);
}

void affine_row(const float* x, const float* scale, const float* offset, size_t channels, float* out) {
    affine(x, scale, offset, channels, out);
}

AffineStep::AffineStep(std::string op, int source, int target, const Value& from, AffineTable table)
    : RowStep(std::move(op), {source}, target, from, from.channels * sizeof(float)),
      from_(from),
      table_(std::move(table)) {}

void AffineStep::apply(const Frame&, const void* in, const void*, void* out, size_t count) const {
    const size_t channels = table_.scale.size();
    const float *scale = table_.scale.data(), *offset = table_.offset.data();
    float* y = static_cast<float*>(out);
    for (size_t row = 0; row < count; ++row) {
        const size_t at = row * channels;
        if (from_.store == Value::i32)
            affine_row(static_cast<const int32_t*>(in) + at, scale, offset, channels, y + at);
        else
            affine_row(static_cast<const float*>(in) + at, scale, offset, channels, y + at);
    }
}

Work AffineStep::counts(const Frame& frame) const {
    return {Work::scaled, double(frame.images) * double(from_.numbers())};
}

}  // namespace binarynet
