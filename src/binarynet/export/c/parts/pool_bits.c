#pragma once
#include "copy_bits.c"

/* OR and AND of some pixels' bits, each of `channels`. */
static void pool_bits(const word *x, const int32_t *taps, int32_t count, int32_t channels, word *any, word *all)
{
    for (int32_t c = 0; c < channels; c += WORD) {
        const int32_t part = channels - c < WORD ? channels - c : WORD;
        any[c / WORD] = 0;
        all[c / WORD] = ALL_ONES;
        for (int32_t k = 0; k < count; k++) {
            word bits = 0;
            copy_bits(&bits, 0, x, taps[k] * channels + c, part);
            any[c / WORD] |= bits;
            all[c / WORD] &= bits;
        }
    }
}
