// What a well-formed graph is: the rules of src/binarynet/graph/verify.py.
#pragma once

#include <map>

#include "library/graph.h"

namespace binarynet {

// The type of every value, by the name of its op. Throws Fault(BNN_RULES).
std::map<std::string, ValueType> verify(const Graph& graph);

}  // namespace binarynet
