#include "finish.h"

#include <cstring>

namespace binarynet {

std::string Finish::text() const {
    if (thresholds_) return ", fused " + thresholds_->text();
    return affine_ ? ", fused affine" : "";
}

void Finish::rows(const Frame& frame, int target, size_t first, size_t count, size_t begin, size_t end,
                  const int32_t* acc, size_t stride) const {
    for (size_t r = 0; r < count; ++r, acc += stride) {
        if (affine_)
            affine_row(acc, affine_->scale.data() + begin, affine_->offset.data() + begin, end - begin,
                       frame.at<float>(target) + (first + r) * channels_ + begin);
        else
            thresholds_->row(frame.kernels, acc, begin, end,
                             frame.at<uint8_t>(target) + (first + r) * thresholds_->row_bytes());
    }
}

void Finish::clear_tails(const Frame& frame, int target, size_t first, size_t count, size_t written) const {
    const size_t stride = words_for(channels_) * 8;
    for (size_t r = 0; r < count && written < stride; ++r)
        std::memset(frame.at<uint8_t>(target) + (first + r) * stride + written, 0, stride - written);
}

}  // namespace binarynet
