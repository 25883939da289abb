#pragma once
#include "exponential.c"
#include "or_nan.c"

/* 1 / (1 + e^-x), which is 0 up to -88. */
static float sigmoid_of(float x) { return or_nan(x, 1.0f / (exponential(-x) + 1.0f)); }
