// What a file may ask of the machine that runs it: the same budget as src/binarynet/graph/limits.py.
#pragma once

#include <cstdint>

#include "library/graph.h"

namespace binarynet {

struct Limits {
    uint64_t ops = 4096, values = uint64_t{1} << 27, macs = uint64_t{1} << 33, memory = uint64_t{1} << 30;

    // The defaults, or what BINARYNET_LIMITS says instead. Throws Fault(BNN_LIMITS) if that cannot be read.
    static Limits of_environment();

    // Throw Fault(BNN_LIMITS).
    void check_ops(uint64_t count) const;
    void check(const Graph& graph, const std::map<std::string, ValueType>& types) const;
};

}  // namespace binarynet
