#pragma once
#include "exponential.c"
#include "or_nan.c"

/* The error function. */
static float erf_of(float x)
{
    const float a = x >= 0.0f ? x : -x, t = 1.0f / (multiply(a, 0.3275911f) + 1.0f);
    float p = 1.061405429f;
    p = multiply(p, t) + -1.453152027f;
    p = multiply(p, t) + 1.421413741f;
    p = multiply(p, t) + -0.284496736f;
    p = multiply(p, t) + 0.254829592f;
    const float made = -multiply(multiply(p, t), exponential(-multiply(a, a))) + 1.0f;
    return or_nan(x, x >= 0.0f ? made : -made);
}
