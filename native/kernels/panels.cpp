// compile (.*):
#include "panels.h"

#include <cstring>

namespace binarynet {

namespace {

// Units of a row, each behind those of the other channels of its panel. Bytes: of a unit; 0: as the shape
// says.
template <size_t Bytes>
void interleave(const uint8_t* row, size_t units, PanelShape shape, uint8_t* lane) {
    const size_t bytes = Bytes ? Bytes : shape.bytes, step = shape.channels * bytes;
    for (size_t k = 0; k < units; ++k) std::memcpy(lane + k * step, row + k * bytes, bytes);
}

}  // namespace

Panels::Panels(PanelShape shape, const uint64_t* rows, size_t channels, size_t words, size_t depth)
    : shape_(shape),
      count_(round_up(channels, shape.channels) / shape.channels),
      units_(round_up(depth, 8 * shape.bytes) / (8 * shape.bytes)),
      data_(checked_product(checked_product(count_, units_), shape.channels * shape.bytes)) {
    for (size_t channel = 0; channel < channels; ++channel) {
        const auto* row = reinterpret_cast<const uint8_t*>(rows + channel * words);
        uint8_t* lane = data_.as<uint8_t>() +
                        channel / shape.channels * units_ * shape.channels * shape.bytes +
                        channel % shape.channels * shape.bytes;
        // A copy of as many bytes as the compiler knows is one instruction, else it is a call.
        if (shape.bytes == 4)
            interleave<4>(row, units_, shape, lane);
        else if (shape.bytes == 8)
            interleave<8>(row, units_, shape, lane);
        else
            interleave<0>(row, units_, shape, lane);
    }
}

}  // namespace binarynet
