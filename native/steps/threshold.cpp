#include "threshold.h"

namespace binarynet {

namespace {

// (channels, levels) in any order → (levels, channels), ascending.
template <typename T>
std::vector<T> by_level(std::vector<T> table, size_t channels, size_t levels) {
    std::vector<T> turned(table.size());
    if (table.empty()) return turned;
    for (size_t c = 0; c < channels; ++c) {
        const auto begin = table.begin() + static_cast<std::ptrdiff_t>(c * levels);
        std::sort(begin, begin + static_cast<std::ptrdiff_t>(levels));
        for (size_t l = 0; l < levels; ++l) turned[l * channels + c] = table[c * levels + l];
    }
    return turned;
}

}  // namespace

Thresholds::Thresholds(ThresholdTable table)
    : table_(std::move(table)),
      i32_(by_level(table_.i32, channels(), levels())),
      f32_(by_level(table_.f32, channels(), levels())),
      flip_(makes_bits() ? words_for(channels()) : 0),
      falling_(makes_bits() ? 0 : channels()) {
    for (size_t c = 0; c < channels(); ++c) {
        if (makes_bits())
            flip_[c / kWord] |= uint64_t{!table_.rising[c]} << c % kWord;
        else
            falling_[c] = table_.rising[c] ? 0 : 255;
    }
}

void Thresholds::row(const Kernels& k, const int32_t* x, size_t begin, size_t end, uint8_t* out) const {
    if (makes_bits())
        k.threshold_i32(x, i32_.data() + begin, flip_.data() + begin / kWord, end - begin,
                        reinterpret_cast<uint64_t*>(out) + begin / kWord);
    else
        k.levels_i32({x, i32_.data() + begin, levels(), channels(), falling_.data() + begin, end - begin,
                      out + begin});
}

void Thresholds::row(const Kernels& k, const float* x, size_t begin, size_t end, uint8_t* out) const {
    if (makes_bits())
        k.threshold_f32(x, f32_.data() + begin, flip_.data() + begin / kWord, end - begin,
                        reinterpret_cast<uint64_t*>(out) + begin / kWord);
    else
        k.levels_f32({x, f32_.data() + begin, levels(), channels(), falling_.data() + begin, end - begin,
                      out + begin});
}

std::string Thresholds::text() const {
    return levels() == 1 ? "threshold" : "threshold of " + std::to_string(levels()) + " levels";
}

ThresholdStep::ThresholdStep(std::string op, int source, int target, const Value& from, ThresholdTable table)
    : RowStep(std::move(op), {source}, target, from,
              table.code.bits == 1 ? words_for(from.channels) * 8 : from.channels),
      from_(from),
      thresholds_(std::move(table)) {}

void ThresholdStep::apply(const Frame& frame, const void* in, const void*, void* out, size_t count) const {
    const size_t channels = thresholds_.channels();
    uint8_t* pixel = static_cast<uint8_t*>(out);
    for (size_t row = 0; row < count; ++row, pixel += thresholds_.row_bytes()) {
        const size_t at = row * channels;
        if (from_.store == Value::i32)
            thresholds_.row(frame.kernels, static_cast<const int32_t*>(in) + at, 0, channels, pixel);
        else
            thresholds_.row(frame.kernels, static_cast<const float*>(in) + at, 0, channels, pixel);
    }
}

Work ThresholdStep::counts(const Frame& frame) const {
    return {thresholds_.levels() > 1    ? Work::leveled
            : from_.store == Value::i32 ? Work::compared
                                        : Work::compared_reals,
            double(frame.images) * double(from_.numbers()) * double(thresholds_.levels())};
}

std::string ThresholdStep::kernel(const Frame&) const {
    return thresholds_.text() + (from_.store == Value::i32 ? " of int32" : " of float32");
}

}  // namespace binarynet
