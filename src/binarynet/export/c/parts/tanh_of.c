#pragma once
#include "exponential.c"
#include "or_nan.c"

/* tanh x: near 0 a polynomial, else 1 - 2 / (e^2x + 1). */
static float tanh_of(float x)
{
    const float z = multiply(x, x), a = x >= 0.0f ? x : -x;
    if (!(a >= 0.625f)) {
        float p = -5.70498872745e-3f;
        p = multiply(p, z) + 2.06390887954e-2f;
        p = multiply(p, z) + -5.37397155531e-2f;
        p = multiply(p, z) + 1.33314422036e-1f;
        p = multiply(p, z) + -3.33332819422e-1f;
        return or_nan(x, multiply(multiply(p, z), x) + x);
    }
    const float far = -2.0f / (exponential(a + a) + 1.0f) + 1.0f;
    return or_nan(x, x >= 0.0f ? far : -far);
}
