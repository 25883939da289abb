#include "value.h"

#include <stdexcept>

#include "base/memory.h"

namespace binarynet {

Code Code::parse(const std::string& encoding) {
    if (encoding == "t2") return {2, -1, 1, 3};
    if (encoding.size() == 2 && encoding[1] >= '1' && encoding[1] <= '8') {
        const int bits = encoding[1] - '0', count = 1 << bits;
        if (encoding[0] == 'b') return {bits, 1 - count, 2, count};
        if (encoding[0] == 'u') return {bits, 0, 1, count};
        if (encoding[0] == 'i' && bits > 1) return {bits, -count / 2, 1, count};
    }
    throw std::invalid_argument("encoding " + encoding + " is none of b1 … b8, u1 … u8, i2 … i8, t2");
}

int32_t Code::of(int32_t value) const {
    const int32_t above = value - low;
    return above >= 0 && above % step == 0 && above / step < count ? above / step : -1;
}

size_t Value::bytes() const {
    const size_t count =
        checked_product(checked_product(height, width), store == bits ? row_words() : channels);
    return checked_product(count, store == codes ? 1 : store == bits ? 8 : 4);
}

}  // namespace binarynet
