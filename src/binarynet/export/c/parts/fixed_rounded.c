#pragma once
#include <stdint.h>

/* A number to its 24 highest bits, halves to even: what float32 keeps of it. The path is the same for all numbers. */
static int64_t rounded(int64_t number)
{
    const uint64_t sign = (uint64_t)0 - ((uint64_t)number >> 63); /* 0 or all ones */
    uint64_t size = ((uint64_t)number ^ sign) - sign, step = 1;
    for (uint64_t high = size >> 24, k = 0; k < 40; k++, high >>= 1)
        step +=
            step & ((uint64_t)0 - ((high | ((uint64_t)0 - high)) >> 63)); /* twice as large while any bit is too high */
    const uint64_t rest = size & (step - 1), odd = size & step;
    const uint64_t tie = (odd | ((uint64_t)0 - odd)) >> 63;
    const uint64_t up = (uint64_t)0 - ((step - 2 * rest - tie) >> 63);
    size = size - rest + (step & up);
    return (int64_t)((size ^ sign) - sign);
}
