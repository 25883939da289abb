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
    : Step(std::move(op), {source}, target), from_(from), thresholds_(std::move(table)) {}

void ThresholdStep::run(const Frame& frame) const {
    const size_t channels = thresholds_.channels(), rows = from_.numbers() / channels;
    uint8_t* out = frame.at<uint8_t>(writes());
    frame.split(work(frame), frame.images * rows, 1, [&](size_t row, size_t end, int) {
        for (; row < end; ++row) {
            uint8_t* pixel = out + row * thresholds_.row_bytes();
            if (from_.store == Value::i32)
                thresholds_.row(frame.kernels, frame.at<int32_t>(reads()[0]) + row * channels, 0, channels,
                                pixel);
            else
                thresholds_.row(frame.kernels, frame.at<float>(reads()[0]) + row * channels, 0, channels,
                                pixel);
        }
    });
}

Work ThresholdStep::work(const Frame& frame) const {
    return {Work::compared, double(frame.images) * double(from_.numbers()) * double(thresholds_.levels())};
}

std::string ThresholdStep::kernel(const Frame&) const {
    return thresholds_.text() + (from_.store == Value::i32 ? " of int32" : " of float32");
}

}  // namespace binarynet
