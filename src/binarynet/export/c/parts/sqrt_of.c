#pragma once
#include "multiply.c"
#include <math.h>

/* The square root; 0 of what is below 2^-126, no number of what is below 0. By powers of two x becomes a number a from
 * 1 to below 4, for which three steps of Heron's are enough. Each step rounds by itself, in this order, as in every
 * engine of binarynet (graph/functions.py). */
static float sqrt_of(float x)
{
    static const float least[6] = {18446744073709551616.0f, 4294967296.0f, 65536.0f, 256.0f, 16.0f, 4.0f};
    float back = x >= 1.0f ? 1.0f : 1.08420217248550443e-19f;        /* 2^-63 */
    float a = x >= 1.0f ? x : multiply(x, 8.50705917302346159e+37f); /* 2^126 */
    for (int i = 0; i < 6; i++)
        if (a >= least[i]) {
            back = multiply(back, i < 5 ? least[i + 1] : 2.0f); /* the root of least[i] */
            a = multiply(a, 1.0f / least[i]);
        }
    float r = multiply(a, 1.0f / 3.0f) + 17.0f / 24.0f;
    for (int i = 0; i < 3; i++)
        r = multiply(r + a / r, 0.5f);
    if (!(x >= 1.17549435082228751e-38f)) /* 2^-126 */
        return x >= 0.0f ? 0.0f : NAN;
    return x >= INFINITY ? x : multiply(r, back);
}
