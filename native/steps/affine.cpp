#include "affine.h"

#include "elementwise.h"

namespace binarynet {

namespace {

template <typename T>
void affine(const T* x, const float* scale, const float* offset, size_t channels, float* out) {
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
    : Step(std::move(op), {source}, target), from_(from), table_(std::move(table)) {}

void AffineStep::run(const Frame& frame) const {
    const size_t channels = table_.scale.size(), rows = from_.numbers() / channels;
    const float *scale = table_.scale.data(), *offset = table_.offset.data();
    float* out = frame.at<float>(writes());
    frame.split(work(frame), frame.images * rows, 1, [&](size_t row, size_t end, int) {
        for (; row < end; ++row) {
            const size_t at = row * channels;
            if (from_.store == Value::i32)
                affine_row(frame.at<int32_t>(reads()[0]) + at, scale, offset, channels, out + at);
            else
                affine_row(frame.at<float>(reads()[0]) + at, scale, offset, channels, out + at);
        }
    });
}

Work AffineStep::work(const Frame& frame) const {
    return elementwise(frame, from_.numbers());
}

}  // namespace binarynet
