#include "weights.h"

#include <stdexcept>

#include "base/memory.h"

namespace binarynet {

void PackedWeights::check(size_t depth) const {
    const size_t words_each = words_for(depth), rows = static_cast<size_t>(code.bits) * channels;
    if (!channels || words.size() != checked_product(rows, words_each))
        throw std::invalid_argument("weights must be " + std::to_string(rows) + " rows of " +
                                    std::to_string(words_each) + " words");
    for (size_t r = 0; r < rows && depth % kWord; ++r)
        if (words[(r + 1) * words_each - 1] >> depth % kWord)
            throw std::invalid_argument("weights have bits behind their last value");
}

}  // namespace binarynet
