#pragma once
#include "word.h"

static int32_t get_bit(const word *x, int32_t i) { return (int32_t)(x[i / WORD] >> (i % WORD) & 1); }
