#pragma once
#include "set_bits.c"
#include "pixel.c"

/* Set the bits of `mask` that are outside the image; returns how many. */
static int32_t mark_outside(const FLASH window *v, int32_t row, int32_t column, word *mask)
{
    int32_t to = 0, count = 0;
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++, to += v->group_channels)
            if (pixel(v, row, column, ky, kx) < 0) {
                set_bits(mask, to, v->group_channels);
                count += v->group_channels;
            }
    return count;
}
