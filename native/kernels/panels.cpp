// compile (.*):
#include "panels.h"

#include <cstring>

namespace binarynet {

Panels::Panels(PanelShape shape, const uint64_t* rows, size_t channels, size_t words, size_t depth)
    : shape_(shape),
      count_(round_up(channels, shape.channels) / shape.channels),
      units_(round_up(depth, 8 * shape.bytes) / (8 * shape.bytes)),
      data_(checked_product(checked_product(count_, units_), shape.channels * shape.bytes)) {
    uint8_t* out = data_.as<uint8_t>();
    for (size_t channel = 0; channel < channels; ++channel) {
        const uint8_t* row = reinterpret_cast<const uint8_t*>(rows + channel * words);
        uint8_t* lane = out + channel / shape.channels * units_ * shape.channels * shape.bytes +
                        channel % shape.channels * shape.bytes;
        for (size_t k = 0; k < units_; ++k)
            std::memcpy(lane + k * shape.channels * shape.bytes, row + k * shape.bytes, shape.bytes);
    }
}

}  // namespace binarynet
