#pragma once
#include "word.h"

/* Counting bits. byte_counts gives sums that can be added up, 31 of them; sum_of_bytes finishes. With a popcount
 * instruction the first does all; without, each byte of the word counts its own bits. */
#if defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb) || defined(__wasm__)
static word byte_counts(word x)
{
    return (word)(WORD == 64 ? __builtin_popcountll(x) : __builtin_popcountl((unsigned long)x));
}
static int32_t sum_of_bytes(word x) { return (int32_t)x; }
#else
static word byte_counts(word x)
{
    const word twos = ALL_ONES / 3, fours = ALL_ONES / 5, eights = ALL_ONES / 17; /* 0x55..., 0x33..., 0x0f... */
    x -= (x >> 1) & twos;
    x = (x & fours) + ((x >> 2) & fours);
    return (x + (x >> 4)) & eights;
}
static int32_t sum_of_bytes(word x)
{
    const word sixteens = ALL_ONES / 257; /* 0x00ff... */
    x = (x & sixteens) + ((x >> 8) & sixteens);
    return (int32_t)(x * (ALL_ONES / 65535) >> (WORD - 16)); /* times 0x0001... adds them up in the highest */
}
#endif
