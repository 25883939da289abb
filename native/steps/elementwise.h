// One number in, one number out.
#pragma once

#include "step.h"

namespace binarynet {

inline Work elementwise(const Frame& frame, size_t numbers) {
    return {Work::elements, double(frame.images) * double(numbers)};
}

// body(i) for all numbers of all images.
template <class Body>
void for_numbers(const Frame& frame, size_t numbers, Body&& body) {
    frame.split(elementwise(frame, numbers), frame.images * numbers, 1024,
                [&](size_t begin, size_t end, int) {
                    for (size_t i = begin; i < end; ++i) body(i);
                });
}

}  // namespace binarynet
