#pragma once
#include "counting.c"

/* How many bits are set in x ^ w: where the digits differ. */
static int32_t xor_count(const word *x, const FLASH word *w, int32_t words)
{
    int32_t sum = 0;
    for (int32_t begin = 0; begin < words; begin += 31) { /* 31 words: the sums of a byte stay below 256 */
        const int32_t end = words - begin < 31 ? words : begin + 31;
        word counts = 0;
        for (int32_t k = begin; k < end; k++)
            counts += byte_counts(x[k] ^ w[k]);
        sum += sum_of_bytes(counts);
    }
    return sum;
}
