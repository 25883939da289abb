// What a Linear or a Conv2d multiplies: the value that it reads, the window under which, how deep.
#pragma once

#include <optional>

#include "steps/value.h"
#include "steps/window.h"

namespace binarynet {

// The depth runs over (kernel row, kernel column, channel in group). A Linear is a window of one tap that
// sees the whole value as one pixel, and has no window.
struct Shape {
    Value from;
    std::optional<Window> window;
    size_t channels, groups, depth;  // channels: of the answer

    // Throws std::invalid_argument if groups do not divide the channels, std::length_error for a depth beyond
    // memory.
    Shape(const Value& from, std::optional<Window> window, size_t channels, size_t groups);

    size_t positions() const { return window ? window->positions() : 1; }
    size_t taps() const { return window ? window->taps() : 1; }
    size_t channels_of_group() const { return channels / groups; }
    bool padded() const { return window && (window->top | window->bottom | window->left | window->right); }
    // Are rows the pixels themselves, one after the other?
    bool in_place() const;
};

// What stands outside the image: a code, or the number 0 where no code means 0.
struct Outside {
    uint8_t code = 0;
    // Zero words stand for the number 0, and what they add is taken out again: see Terms.
    bool corrected = false;

    // Throws std::invalid_argument if pad_value is neither 0 nor a value of the input.
    Outside(const Shape& shape, int pad_value);
};

}  // namespace binarynet
