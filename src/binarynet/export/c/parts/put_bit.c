#pragma once
#include "word.h"

/* Bit i of y, which is 0, becomes `bit`: without a branch. */
static void put_bit(word *y, int32_t i, int32_t bit) { y[i / WORD] |= (word)((word)bit << (i % WORD)); }
