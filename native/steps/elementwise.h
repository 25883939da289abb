// One number in, one number out.
#pragma once

#include "step.h"

// Before a loop whose out may be its in: number i of out depends on number i of in alone, so several may be
// computed at a time. A compiler that has to find out takes them one by one where both are the same memory.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"  // a build with sanitizers may well leave it undone
#define EACH_BY_ITSELF _Pragma("clang loop vectorize(assume_safety)")
#else
#define EACH_BY_ITSELF _Pragma("GCC ivdep")
#endif

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
