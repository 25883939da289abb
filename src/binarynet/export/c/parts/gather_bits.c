#pragma once
#include "copy_bits.c"
#include "pixel.c"

/* The bits of an image under a window: whole words, the tail 0. Places outside the image are 0. */
static void gather_bits(const FLASH window *v, const word *x, int32_t row, int32_t column, int32_t group, word *patch)
{
    const int32_t depth = v->kernel_height * v->kernel_width * v->group_channels;
    int32_t to = 0;
    memset(patch, 0, (size_t)((depth + WORD - 1) / WORD) * sizeof *patch);
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++, to += v->group_channels) {
            const int32_t at = pixel(v, row, column, ky, kx);
            if (at >= 0)
                copy_bits(patch, to, x, at * v->channels + group * v->group_channels, v->group_channels);
        }
}
