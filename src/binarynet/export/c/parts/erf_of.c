#pragma once
#include "exponential.c"
#include "or_nan.c"

/* The error function. */
static float erf_of(float x)
{
    const float a = x >= 0.0f ? x : -x, t = 1.0f / (multiply(a, 0.5f) + 1.0f);
    float p = 0.17087277f;
    p = multiply(p, t) + -0.82215223f;
    p = multiply(p, t) + 1.48851587f;
    p = multiply(p, t) + -1.13520398f;
    p = multiply(p, t) + 0.27886807f;
    p = multiply(p, t) + -0.18628806f;
    p = multiply(p, t) + 0.09678418f;
    p = multiply(p, t) + 0.37409196f;
    p = multiply(p, t) + 1.00002368f;
    p = multiply(p, t) + -1.26551223f;
    const float made = -multiply(t, exponential(-multiply(a, a) + p)) + 1.0f;
    return or_nan(x, x >= 0.0f ? made : -made);
}
