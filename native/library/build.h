// A verified graph → the engine's network, as src/binarynet/runtime/plan.py builds it.
#pragma once

#include "library/graph.h"
#include "network/network.h"

namespace binarynet {

// Throws std::invalid_argument for what the engine cannot run, such as an op on a kernel that was asked for.
void build(Network& network, const Graph& graph);

}  // namespace binarynet
