// The bytes of a .bnn file → its graph, or a Fault, whatever the bytes are. docs/format.md is the page.
#pragma once

#include "library/fault.h"
#include "library/graph.h"
#include "library/limits.h"

namespace binarynet {

struct Model {
    Graph graph;
    std::map<std::string, ValueType> types;
};

// The tensors of the graph point into `bytes`.
Model read_model(const uint8_t* bytes, size_t count, const Limits& limits);

}  // namespace binarynet
