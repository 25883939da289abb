#pragma once
#include "pixel.c"

/* The pixels under the window that makes (row, column), in its order, without those outside; returns how many. */
static int32_t find_taps(const FLASH window *v, int32_t row, int32_t column, int32_t *taps)
{
    int32_t count = 0;
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++) {
            const int32_t at = pixel(v, row, column, ky, kx);
            if (at >= 0)
                taps[count++] = at;
        }
    return count;
}
