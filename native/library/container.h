// The outside of a .bnn file: safetensors, with one text in its metadata, and the checksum of the whole.
#pragma once

#include <map>
#include <string>

#include "library/fault.h"
#include "library/graph.h"

namespace binarynet {

struct Container {
    std::string graph;  // JSON
    std::map<std::string, Tensor> tensors;
};

// The tensors point into `bytes`. Throws Fault(BNN_SAFETENSORS).
Container open_container(const uint8_t* bytes, size_t count);

// The SHA-256 of an opened file with its own 64 digits set to 0. Throws Fault(BNN_CHECKSUM) if there are
// none.
std::string checksum(const uint8_t* bytes, size_t count);

}  // namespace binarynet
