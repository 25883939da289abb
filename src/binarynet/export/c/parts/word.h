/* What the writer puts in front of the parts, here so that each of them compiles by itself. */
#pragma once
#include <stdint.h>
#include <string.h>

#ifndef WORD
#define WORD 32
#endif
#define TYPE_OF(bits) uint##bits##_t
#define UNSIGNED(bits) TYPE_OF(bits)
typedef UNSIGNED(WORD) word;
/* avr-gcc reads flash by instructions of its own. */
#ifdef __FLASH
#define FLASH __flash
#else
#define FLASH
#endif
#define ALL_ONES ((word) ~(word)0)
