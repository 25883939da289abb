// Weights in the order of a kernel (see PanelShape in contract.h).
#pragma once

#include "base/memory.h"
#include "contract.h"

namespace binarynet {

class Panels {
 public:
    Panels() = default;
    // rows: `channels` packed rows of `words` words each, of which bits [0, depth) are used.
    Panels(PanelShape shape, const uint64_t* rows, size_t channels, size_t words, size_t depth);

    size_t count() const { return count_; }
    size_t units() const { return units_; }
    size_t bytes() const { return data_.bytes(); }
    const uint8_t* data() const { return data_.as<uint8_t>(); }
    // Channels padded up to whole panels.
    size_t padded_channels() const { return count_ * shape_.channels; }

 private:
    PanelShape shape_{};
    size_t count_ = 0, units_ = 0;
    Buffer data_;
};

}  // namespace binarynet
