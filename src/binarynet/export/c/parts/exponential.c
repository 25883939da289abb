#pragma once
#include "multiply.c"
#include <math.h>
#include <stdint.h>
#include <string.h>

/* 2^n for n from -126 to 127. */
static float power_of_two(int32_t n)
{
    const int32_t bits = (n + 127) * 8388608; /* the exponent stands above 23 bits */
    float made;
    memcpy(&made, &bits, sizeof made);
    return made;
}

/* e^x; from 88 on infinity, and below -87, and of NaN, that of -87. Each step rounds by itself, in this order,
 * as in every engine of binarynet (graph/functions.py). */
static float exponential(float given)
{
    float x = given >= 88.0f ? 88.0f : given;
    x = x >= -87.0f ? x : -87.0f;
    const float whole = multiply(x, 1.44269504f) + 0.5f;
    int32_t n = (int32_t)whole;
    n -= (float)n > whole; /* floor */
    float r = x + multiply((float)n, -0.693359375f);
    r = r + multiply((float)n, 2.12194440e-4f);
    float p = 1.9875691500e-4f;
    p = multiply(p, r) + 1.3981999507e-3f;
    p = multiply(p, r) + 8.3334519073e-3f;
    p = multiply(p, r) + 4.1665795894e-2f;
    p = multiply(p, r) + 1.6666665459e-1f;
    p = multiply(p, r) + 5.0000001201e-1f;
    const float made = multiply(multiply(p, multiply(r, r)) + r + 1.0f, power_of_two(n));
    return given >= 88.0f ? INFINITY : made;
}
