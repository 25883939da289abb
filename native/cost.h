// What a step does, counted, and what that costs here: from these come the choice of a kernel, the decision
// to share work between threads, and the times that `binarynet inspect` expects.
//
// A step counts its work (Work); native/costs.inc lists all counts with their prices for each instruction
// set; the time that one thread needs is the sum of the products. Prices are fitted to measured steps by one
// command (benchmarks/costs.py), and stand nowhere else.
#pragma once

#include <stddef.h>

#include <array>
#include <optional>
#include <string>

#include "kernels.h"

namespace binarynet {

// The ways to compute a Linear or a Conv2d.
enum class Kernel {
    popcount,  // codes in planes of bits: xor and count
    tiles,     // codes as bytes, on a matrix unit
    counters,  // depthwise convolutions of ±1: 64 channels in a word, counted bitwise
    lookup,    // reals × weights of few bits: sums of four reals, looked up by four bits
    multiply,  // reals × numbers
};

const char* name_of(Kernel kernel);

// By name; none for the empty one. Throws std::invalid_argument that lists what there is.
std::optional<Kernel> kernel_named(const std::string& name);

// BINARYNET_KERNEL, by name. Throws as kernel_named() does.
std::optional<Kernel> kernel_from_environment();

// Does the instruction set have it?
bool has(const Kernels& kernels, Kernel kernel);

struct Work {
    enum Count {
#define COST(name, what, ...) name,
#include "costs.inc"
#undef COST
        kCounts
    };

    double amount[kCounts] = {};

    Work() = default;
    // One step that does so much of one thing.
    Work(Count count, double much) {
        amount[steps] = 1;
        amount[count] = much;
    }

    double& operator[](Count count) { return amount[count]; }
};

// What a count of Work counts.
const char* name_of(Work::Count count);

// Nanoseconds of one thread for one of each count.
struct Prices {
    double of[Work::kCounts];

    double nanoseconds(const Work& work) const {
        double sum = 0;
        for (size_t i = 0; i < Work::kCounts; ++i) sum += work.amount[i] * of[i];
        return sum;
    }
};

// Those of an instruction set that nobody measured are those of `portable`.
const Prices& prices_of(const Kernels& kernels);

// A region of work costs about that much where the workers are awake.
constexpr double kRegionNanoseconds = 2000;

}  // namespace binarynet
