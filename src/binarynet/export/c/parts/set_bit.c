#pragma once
#include "word.h"

static void set_bit(word *x, int32_t i) { x[i / WORD] |= (word)1 << (i % WORD); }
