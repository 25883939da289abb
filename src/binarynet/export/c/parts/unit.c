#pragma once
#include "word.h"

/* Some digits of a column of the image, in the order of the weights that they are multiplied with. */
typedef struct {
    word *memory;
    int32_t entries, ones; /* how many digits, and how many of them are 1 */
} unit;
