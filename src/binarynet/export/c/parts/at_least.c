#pragma once
#include <stdint.h>

/* 1 where number >= least, else 0, without a branch. Both are less than 2^30 in size. */
static int32_t at_least(int32_t number, int32_t least) { return (int32_t)(~(uint32_t)(number - least) >> 31); }
