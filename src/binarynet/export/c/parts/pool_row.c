#pragma once
#include "window.c"

/* An image of `rows` x `columns` pooled pixels, of which `kept` rows are in memory, that takes its input row by row:
 * OR, or AND where `minimum` has a 1. A pixel is whole words, and windows do not overlap. */
typedef struct {
    window in;
    int32_t rows, columns, kept;
    const FLASH word *minimum;
} row_pool;

static void pool_row(const FLASH row_pool *v, const word *x, word *y, int32_t row)
{
    const FLASH window *const in = &v->in;
    const int32_t words = in->channels / WORD, down = row + in->top, made = down / in->stride_down;
    const int32_t ky = down % in->stride_down, begins = ky == 0 || row == 0;
    int32_t kx = in->left % in->stride_right, column = in->left / in->stride_right;
    if (ky >= in->kernel_height || made >= v->rows)
        return;
    y += made % v->kept * v->columns * words;
    for (int32_t from = 0; from < in->width; from++) {
        for (int32_t k = 0; k < words && kx < in->kernel_width && column < v->columns; k++) {
            const word bits = x[from * words + k], smallest = v->minimum ? v->minimum[k] : 0;
            word *const to = y + column * words + k;
            *to = begins && (kx == 0 || from == 0) ? bits : (word)(((*to | bits) & ~smallest) | (*to & bits));
        }
        if (++kx == in->stride_right) {
            kx = 0;
            column++;
        }
    }
}
