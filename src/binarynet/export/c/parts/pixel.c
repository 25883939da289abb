#pragma once
#include "row_under.c"

/* The pixel under place (ky, kx) of the window that makes (row, column); -1 if it is outside the image. */
static int32_t pixel(const FLASH window *v, int32_t row, int32_t column, int32_t ky, int32_t kx)
{
    const int32_t from = row_under(v, row, ky);
    const int32_t x = column * v->stride_right + kx * v->dilation_right - v->left;
    return from < 0 || x < 0 || x >= v->width ? -1 : from + x;
}
