#include "kernel.h"

#include <cstdlib>
#include <stdexcept>

namespace binarynet {

namespace {

constexpr Kernel kKernels[] = {Kernel::popcount, Kernel::tiles,  Kernel::vertical, Kernel::bitsliced,
                               Kernel::counters, Kernel::lookup, Kernel::multiply};

}  // namespace

const char* name_of(Kernel kernel) {
    switch (kernel) {
        case Kernel::popcount:
            return "popcount";
        case Kernel::tiles:
            return "tiles";
        case Kernel::vertical:
            return "vertical";
        case Kernel::bitsliced:
            return "bitsliced";
        case Kernel::counters:
            return "counters";
        case Kernel::lookup:
            return "lookup";
        case Kernel::multiply:
            break;
    }
    return "multiply";
}

std::optional<Kernel> kernel_named(const std::string& name) {
    if (name.empty()) return std::nullopt;
    std::string known;
    for (Kernel kernel : kKernels) {
        if (name == name_of(kernel)) return kernel;
        known += (known.empty() ? "" : ", ") + std::string(name_of(kernel));
    }
    throw std::invalid_argument("unknown kernel '" + name + "'; there are: " + known);
}

std::optional<Kernel> kernel_from_environment() {
    const char* text = std::getenv("BINARYNET_KERNEL");
    try {
        return kernel_named(text ? text : "");
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("BINARYNET_KERNEL: " + std::string(error.what()));
    }
}

bool has(const Kernels& kernels, Kernel kernel) {
    return kernel != Kernel::tiles || kernels.tile_depth;
}

}  // namespace binarynet
