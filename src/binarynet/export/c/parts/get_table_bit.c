#pragma once
#include "word.h"

static int32_t get_table_bit(const FLASH word *x, int32_t i) { return (int32_t)(x[i / WORD] >> (i % WORD) & 1); }
