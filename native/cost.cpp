#include "cost.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace binarynet {

namespace {

constexpr Kernel kKernels[] = {Kernel::popcount, Kernel::tiles, Kernel::counters, Kernel::lookup,
                               Kernel::multiply};

constexpr const char* kPriced[] = {"amx", "avx512", "avx2", "portable"};  // the columns of costs.inc
constexpr size_t kColumns = sizeof kPriced / sizeof *kPriced;

constexpr double kPrices[][kColumns] = {
#define COST(name, what, ...) {__VA_ARGS__},
#include "costs.inc"
#undef COST
};

}  // namespace

const char* name_of(Kernel kernel) {
    switch (kernel) {
        case Kernel::popcount:
            return "popcount";
        case Kernel::tiles:
            return "tiles";
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

const char* name_of(Work::Count count) {
    static constexpr const char* kNames[] = {
#define COST(name, what, ...) #name,
#include "costs.inc"
#undef COST
    };
    return kNames[count];
}

const Prices& prices_of(const Kernels& kernels) {
    static const std::array<Prices, kColumns> all = [] {
        std::array<Prices, kColumns> columns{};
        for (size_t column = 0; column < kColumns; ++column)
            for (size_t i = 0; i < Work::kCounts; ++i) columns[column].of[i] = kPrices[i][column];
        return columns;
    }();
    size_t column = 0;
    while (column + 1 < kColumns && std::strcmp(kPriced[column], kernels.name)) ++column;
    return all[column];
}

}  // namespace binarynet
