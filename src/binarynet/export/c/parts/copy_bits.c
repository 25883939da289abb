#pragma once
#include "word.h"

/* Copy `count` bits of x from bit `from` on to y, where they begin at bit `at`. y is 0 there. */
static void copy_bits(word *y, int32_t at, const word *x, int32_t from, int32_t count)
{
    while (count > 0) {
        const int32_t to = at % WORD, shift = from % WORD;
        const int32_t part = count < WORD - to ? count : WORD - to; /* up to the end of a word of y */
        word bits = x[from / WORD] >> shift;
        if (shift && shift + part > WORD)
            bits |= x[from / WORD + 1] << (WORD - shift);
        y[at / WORD] |= (bits & (ALL_ONES >> (WORD - part))) << to;
        at += part;
        from += part;
        count -= part;
    }
}
