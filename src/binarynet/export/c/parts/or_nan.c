#pragma once
#include <math.h>

/* What is no number stays none. */
static float or_nan(float x, float made) { return x >= -INFINITY ? made : x; }
