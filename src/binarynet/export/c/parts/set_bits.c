#pragma once
#include "word.h"

/* Set `count` bits of x from bit `at` on. */
static void set_bits(word *x, int32_t at, int32_t count)
{
    while (count > 0) {
        const int32_t to = at % WORD, part = count < WORD - to ? count : WORD - to;
        x[at / WORD] |= (ALL_ONES >> (WORD - part)) << to;
        at += part;
        count -= part;
    }
}
