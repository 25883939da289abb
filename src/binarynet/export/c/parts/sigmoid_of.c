#pragma once
#include "exponential.c"
#include "or_nan.c"

/* 1 / (1 + e^-x). */
static float sigmoid_of(float x)
{
    const float e = exponential(x >= 0.0f ? -x : x);
    return or_nan(x, (x >= 0.0f ? 1.0f : e) / (e + 1.0f));
}
