#pragma once
#include "word.h"

/* Codes -> binary digits: bit k of plane n is digit n of code k. A plane has `words` words, the first plane first. */
static void split(const uint8_t *codes, int32_t count, int32_t planes, word *digits, int32_t words)
{
    for (int32_t n = 0; n < planes; n++)
        for (int32_t j = 0; j < words; j++) {
            const int32_t left = count - j * WORD, end = left < WORD ? left : WORD;
            word bits = 0;
            for (int32_t k = 0; k < end; k++)
                bits |= (word)(codes[j * WORD + k] >> n & 1) << k;
            digits[n * words + j] = bits;
        }
}
