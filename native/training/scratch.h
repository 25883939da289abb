// Memory that stays with the thread that calls, and grows to what it needed most: a training step asks for
// the same again and again.
#pragma once

#include <array>

#include "base/memory.h"

namespace binarynet::training {

enum class Scratch { kLeft, kRight, kPanels, kSums, kTasks, kCount };

inline uint8_t* scratch(Scratch use, size_t bytes) {
    thread_local std::array<Buffer, static_cast<size_t>(Scratch::kCount)> buffers;
    Buffer& buffer = buffers[static_cast<size_t>(use)];
    if (buffer.bytes() < bytes) {
        buffer = Buffer();
        buffer = Buffer(bytes);
    }
    return buffer.as<uint8_t>();
}

inline size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

}  // namespace binarynet::training
