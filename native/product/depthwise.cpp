#include "depthwise.h"

#include <algorithm>
#include <stdexcept>

#include "base/memory.h"

namespace binarynet {

bool Depthwise::takes(const Shape& shape, const Code& weights) {
    const Value& from = shape.from;
    return shape.window && from.store == Value::bits && from.code.is_sign() && weights.is_sign() &&
           shape.groups > 1 && shape.groups == from.channels && shape.groups == shape.channels;
}

Depthwise::Depthwise(std::string op, int source, int target, const Shape& shape, PackedWeights weight,
                     int pad_value)
    : Product(std::move(op), {source}, target),
      from_(shape.from),
      window_(*shape.window),
      correct_padding_(pad_value == 0 && shape.padded()),
      outside_(pad_value > 0 ? ~uint64_t{0} : 0) {
    if (pad_value < -1 || pad_value > 1)
        throw std::invalid_argument("pad_value " + std::to_string(pad_value) +
                                    " is neither 0 nor a value of the input");
    if (window_.taps() > INT32_MAX) throw std::invalid_argument("a dot product does not fit int32");
    weight.check(window_.taps());
    weight_ = std::move(weight.words);
    while (window_.taps() >> planes_) ++planes_;
}

bool Depthwise::fuse(const ThresholdStep& step, const Kernels&) {
    if (!step.thresholds().makes_bits()) return false;
    threshold_ = step.thresholds().table();
    writes(step.writes());
    return true;
}

bool Depthwise::fuse(const AffineStep& step) {
    affine_ = step.table();
    writes(step.writes());
    return true;
}

void Depthwise::seal(const Kernels&) {
    const size_t taps = window_.taps(), tap_words = words_for(taps), words = from_.row_words();
    std::vector<uint64_t> by_tap(taps * words);
    for (size_t c = 0; c < from_.channels; ++c)
        for (size_t tap = 0; tap < taps; ++tap)
            by_tap[tap * words + c / kWord] |= read_bits(&weight_[c * tap_words], tap, 1) << c % kWord;
    weight_ = std::move(by_tap);

    inside_ = {static_cast<int32_t>(taps)};
    if (correct_padding_) {
        PaddingClasses padding(window_);
        classes_ = std::move(padding.of);
        inside_.clear();
        for (const auto& outside : padding.outside)
            inside_.push_back(static_cast<int32_t>(std::count(outside.begin(), outside.end(), false)));
    }
    if (!threshold_) return;
    flip_.assign(words, 0);
    never_.assign(inside_.size() * words, 0);
    limits_.assign(checked_product(inside_.size(), static_cast<size_t>(planes_) * words), 0);
    for (size_t c = 0; c < from_.channels; ++c) {
        const size_t word = c / kWord, shift = c % kWord;
        flip_[word] |= uint64_t{!threshold_->rising[c]} << shift;
        for (size_t k = 0; k < inside_.size(); ++k) {
            const int64_t limit = (int64_t{inside_[k]} - threshold_->i32[c]) >> 1;  // acc ≥ t  ⇔  S ≤ limit
            never_[k * words + word] |= uint64_t{limit < 0} << shift;
            const auto value =
                static_cast<uint64_t>(std::clamp<int64_t>(limit, 0, static_cast<int64_t>(taps)));
            for (size_t b = 0; b < static_cast<size_t>(planes_); ++b)
                limits_[(k * static_cast<size_t>(planes_) + b) * words + word] |= (value >> b & 1) << shift;
        }
    }
}

// S of 64 channels at one position, as planes.
void Depthwise::count(const uint64_t* image, size_t oy, size_t ox, size_t word, uint64_t* planes) const {
    const Window& w = window_;
    const size_t words = from_.row_words();
    std::fill_n(planes, planes_, 0);
    const uint64_t* weight = weight_.data() + word;
    for (size_t ky = 0; ky < w.kernel_height; ++ky) {
        const size_t iy = w.row(oy, ky);
        for (size_t kx = 0; kx < w.kernel_width; ++kx, weight += words) {
            const size_t ix = w.column(ox, kx);
            uint64_t carry = outside_;
            if (iy < w.height && ix < w.width)
                carry = image[(iy * w.width + ix) * words + word];
            else if (correct_padding_)
                continue;
            carry ^= *weight;
            for (int b = 0; carry; ++b) {
                const uint64_t both = planes[b] & carry;
                planes[b] ^= carry;
                carry = both;
            }
        }
    }
}

// S ≤ limit, for 64 channels at once: decided by the highest plane where the two differ.
uint64_t Depthwise::reached(const uint64_t* planes, size_t padding_class, size_t word) const {
    const size_t words = from_.row_words();
    const uint64_t* limit = &limits_[padding_class * static_cast<size_t>(planes_) * words + word];
    uint64_t below = 0, equal = ~uint64_t{0};
    for (int b = planes_ - 1; b >= 0; --b) {
        const uint64_t top = limit[static_cast<size_t>(b) * words];
        below |= equal & ~planes[b] & top;
        equal &= ~(planes[b] ^ top);
    }
    return ((below | equal) & ~never_[padding_class * words + word]) ^ flip_[word];
}

void Depthwise::run(const Frame& frame) const {
    const uint64_t* in = frame.at<uint64_t>(reads()[0]);
    const size_t words = from_.row_words(), channels = from_.channels, all = positions(),
                 width = window_.out_width();
    frame.split(work(frame), frame.images * all, 1, [&](size_t begin, size_t end, int) {
        for (size_t place = begin; place < end; ++place) {
            const size_t position = place % all, padding_class = classes_.empty() ? 0 : classes_[position];
            const uint64_t* image = in + place / all * from_.pixels() * words;
            for (size_t word = 0; word < words; ++word) {
                uint64_t planes[kMaxPlanes];
                count(image, position / width, position % width, word, planes);
                const size_t first = word * kWord, lanes = std::min(kWord, channels - first);
                if (threshold_) {
                    frame.at<uint64_t>(writes())[place * words + word] =
                        reached(planes, padding_class, word) & low_bits(lanes);
                    continue;
                }
                int32_t acc[kWord];
                for (size_t c = 0; c < lanes; ++c) {
                    uint32_t sum = 0;
                    for (int b = 0; b < planes_; ++b) sum |= static_cast<uint32_t>(planes[b] >> c & 1) << b;
                    acc[c] = static_cast<int32_t>(inside_[padding_class] - 2 * int64_t{sum});
                }
                if (affine_)
                    affine_row(acc, &affine_->scale[first], &affine_->offset[first], lanes,
                               frame.at<float>(writes()) + place * channels + first);
                else
                    std::copy_n(acc, lanes, frame.at<int32_t>(writes()) + place * channels + first);
            }
        }
    });
}

Work Depthwise::work(const Frame& frame) const {
    const double places = double(frame.images) * double(positions());
    Work work(Work::counters, places * double(window_.taps() * from_.row_words()));
    if (!threshold_) work[Work::extracted] = places * double(from_.channels) * planes_;
    return work;
}

std::string Depthwise::kernel(const Frame&) const {
    std::string text = "counters of " + std::to_string(planes_) + " planes";
    if (correct_padding_) text += ", exact zero padding";
    if (threshold_) text += ", fused threshold";
    if (affine_) text += ", fused affine";
    return text;
}

size_t Depthwise::weight_bytes() const {
    return (weight_.size() + limits_.size() + never_.size() + flip_.size()) * 8 +
           (classes_.size() + inside_.size()) * 4;
}

}  // namespace binarynet
