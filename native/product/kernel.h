// The ways to compute a Linear or a Conv2d, by name.
#pragma once

#include <optional>
#include <string>

#include "kernels/contract.h"

namespace binarynet {

enum class Kernel {
    popcount,   // codes in planes of bits: xor and count
    tiles,      // codes as bytes, on a matrix unit
    vertical,   // ±1 × ±1: outputs side by side, words of the set inputs added bitwise
    bitsliced,  // ±1 × ±1 → bits: rows side by side, words of the inputs that a weight lists added bitwise
    counters,   // depthwise convolutions of ±1: 64 channels in a word, counted bitwise
    lookup,     // reals or codes × weights of few bits: sums of a few of them, looked up by as many bits
    multiply,   // reals × numbers
};

const char* name_of(Kernel kernel);

// By name; none for the empty one. Throws std::invalid_argument that lists what there is.
std::optional<Kernel> kernel_named(const std::string& name);

// BINARYNET_KERNEL, by name. Throws as kernel_named() does.
std::optional<Kernel> kernel_from_environment();

// Does the instruction set have it?
bool has(const Kernels& kernels, Kernel kernel);

}  // namespace binarynet
