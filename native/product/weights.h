// Weights as they come from the graph.
#pragma once

#include <vector>

#include "steps/value.h"

namespace binarynet {

// Weights as packed rows, in planes: bit n of the codes of all channels, then bit n + 1.
struct PackedWeights {
    Code code;
    size_t channels = 0;
    std::vector<uint64_t> words;  // (code.bits, channels, words_for(depth))

    const uint64_t* row(size_t plane, size_t channel, size_t depth) const {
        return words.data() + (plane * channels + channel) * words_for(depth);
    }
    // Throws std::invalid_argument unless there are `channels` ≥ 1 rows of `depth` values in each plane, with
    // their tails 0.
    void check(size_t depth) const;
};

}  // namespace binarynet
