#pragma once
#include <stdint.h>

/* A number to its 24 highest bits, halves to even: what float32 keeps of it. */
static int64_t rounded(int64_t number)
{
    uint64_t size = (uint64_t)(number < 0 ? -number : number);
    int32_t drop = 0;
    while (size >> drop >> 24)
        drop++;
    if (drop) {
        const uint64_t step = (uint64_t)1 << drop, rest = size & (step - 1);
        size -= rest;
        if (2 * rest > step || (2 * rest == step && (size & step)))
            size += step;
    }
    return number < 0 ? -(int64_t)size : (int64_t)size;
}
