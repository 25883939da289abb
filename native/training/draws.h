// Random numbers that follow from a seed and a place alone: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014),
// whose n-th number is a function of n. No thread, order or interruption changes them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "each_length.h"

namespace binarynet::training {

// The n-th state on from a seed.
inline uint64_t draw_state(uint64_t seed, uint64_t n) {
    return seed + n * 0x9e3779b97f4a7c15;
}

namespace {

// Draws of `count` states from `state` on.
[[maybe_unused]] EACH_LENGTH void draw(uint64_t state, uint64_t* __restrict draws, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        uint64_t z = state + i * 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        draws[i] = z ^ z >> 31;
    }
}

}  // namespace
}  // namespace binarynet::training
