#include "shape.h"

#include <stdexcept>

#include "base/memory.h"

namespace binarynet {

Shape::Shape(const Value& from, std::optional<Window> window, size_t channels, size_t groups)
    : from(from),
      window(std::move(window)),
      channels(channels),
      groups(groups),
      depth(this->window ? checked_product(this->window->taps(), groups ? from.channels / groups : 0)
                         : from.numbers()) {
    if (!groups || from.channels % groups || channels % groups)
        throw std::invalid_argument("groups must divide the channels in and out");
}

bool Shape::in_place() const {
    if (!window) return true;
    return groups == 1 && taps() == 1 && window->stride_y == 1 && window->stride_x == 1 && !padded();
}

Outside::Outside(const Shape& shape, int pad_value) {
    if (!shape.padded()) return;
    const int32_t value = shape.from.code.of(pad_value);
    if (value >= 0)
        code = static_cast<uint8_t>(value);
    else if (pad_value == 0)
        corrected = true;
    else
        throw std::invalid_argument("pad_value " + std::to_string(pad_value) +
                                    " is neither 0 nor a value of the input");
}

}  // namespace binarynet
