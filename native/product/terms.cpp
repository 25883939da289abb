#include "terms.h"

#include <algorithm>

#include "base/memory.h"

namespace binarynet {

Terms::Terms(const Shape& shape, const Outside& outside, const Planes& planes, const PackedWeights& weight,
             const Finish& finish, size_t padded)
    : channels_(shape.channels), padded_(padded), stride_(shape.groups * padded) {
    std::vector<std::vector<bool>> patterns{std::vector<bool>(shape.taps())};
    if (outside.corrected) {
        PaddingClasses padding(*shape.window);
        classes_ = std::move(padding.of);
        patterns = std::move(padding.outside);
    }
    if (!planes.plain()) {
        terms_.assign(padded, 0);
        bases_.resize(checked_product(patterns.size(), channels_));
        for (size_t c = 0; c < patterns.size(); ++c)
            for (size_t channel = 0; channel < channels_; ++channel)
                bases_[c * channels_ + channel] =
                    planes.twice_base(weight, channel, shape.depth, patterns[c]);
        return;
    }
    const bool compares = finish.compares();
    const size_t per_group = shape.channels_of_group();
    terms_.assign(checked_product(patterns.size(), stride_), compares ? -1 : 0);
    if (compares) flip_.assign(stride_ / 8, 0);
    for (size_t channel = 0; channel < channels_; ++channel) {
        const size_t place = channel / per_group * padded + channel % per_group;
        if (compares && !finish.threshold().rising[channel])
            flip_[place / 8] = static_cast<uint8_t>(flip_[place / 8] | 1 << place % 8);
        for (size_t c = 0; c < patterns.size(); ++c) {
            int64_t term = planes.twice_base(weight, channel, shape.depth, patterns[c]) / 2;
            if (compares) {  // acc ≥ t  ⇔  step · S ≤ room; >> rounds towards −∞
                const int64_t room = term - finish.threshold().i32[channel];
                term = std::clamp<int64_t>(room >> planes.shift(), -1, INT32_MAX);
            }
            terms_[c * stride_ + place] = static_cast<int32_t>(static_cast<uint32_t>(term));
        }
    }
}

void Terms::classes_of(size_t first, size_t count, uint32_t* classes) const {
    size_t position = first % classes_.size();
    for (size_t r = 0; r < count; ++r) {
        classes[r] = classes_[position];
        if (++position == classes_.size()) position = 0;
    }
}

}  // namespace binarynet
