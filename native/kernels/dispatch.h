// Which instruction sets this build and this CPU have, and which one is used.
#pragma once

#include <string>
#include <vector>

#include "contract.h"

namespace binarynet {

// All that were compiled in, best first, whether or not the CPU supports them.
const std::vector<Kernels>& compiled_kernels();

// Those that the CPU supports, best first. Never empty: portable is last.
const std::vector<const Kernels*>& available_kernels();

// By name. Throws std::invalid_argument that lists what there is, if there is no such kernel or the CPU lacks
// it.
const Kernels& kernels_named(const std::string& name);

// What a network is built for if it does not say: the last use(), else BINARYNET_ISA, else the best
// available. Throws as kernels_named() does if BINARYNET_ISA names something else.
const Kernels& active_kernels();

// Make a set active for the whole process; the empty name goes back to BINARYNET_ISA or the best.
void use_kernels(const std::string& name);

// The prices of a set, from now on, for every network. While networks run, both the old and the new may be
// seen.
void use_prices(const std::string& name, const Prices& prices);

}  // namespace binarynet
