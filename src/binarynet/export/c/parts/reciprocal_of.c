#pragma once

/* 1 / x. */
static float reciprocal_of(float x) { return 1.0f / x; }
