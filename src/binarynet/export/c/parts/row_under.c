#pragma once
#include "window.c"

/* The row that lies under kernel row ky of output row `row`, counted in pixels of memory; -1 if it is outside. */
static int32_t row_under(const FLASH window *v, int32_t row, int32_t ky)
{
    const int32_t y = row * v->stride_down + ky * v->dilation_down - v->top;
    if (y < 0 || y >= v->height)
        return -1;
    return (y < v->kept ? y : y % v->kept) * v->width;
}
