#pragma once
#include "word.h"

/* A full adder in each bit: a + b + c = a + 2 carry. Both forms of the carry take three operations; the second also
 * takes few moves where an instruction writes over an operand. */
#ifdef __thumb2__
#define CARRY(either, b, c, both) (((either) & (c)) | (both))
#else
#define CARRY(either, b, c, both) ((((b) ^ (c)) & (either)) ^ (b))
#endif
#define ADD(carry, a, b, c)                                                                                            \
    do {                                                                                                               \
        const word b_ = (b), c_ = (c), either_ = (a) ^ b_, both_ = (a) & b_;                                           \
        (void)both_;                                                                                                   \
        (a) = either_ ^ c_;                                                                                            \
        (carry) = CARRY(either_, b_, c_, both_);                                                                       \
    } while (0)

/* TERM(0) ... TERM(7) into ones, twos and fours; what is carried is worth eight. */
#define ADD_EIGHT(carry)                                                                                               \
    do {                                                                                                               \
        word two_, two2_, four_, four2_;                                                                               \
        ADD(two_, ones, TERM(0), TERM(1));                                                                             \
        ADD(two2_, ones, TERM(2), TERM(3));                                                                            \
        ADD(four_, twos, two_, two2_);                                                                                 \
        ADD(two_, ones, TERM(4), TERM(5));                                                                             \
        ADD(two2_, ones, TERM(6), TERM(7));                                                                            \
        ADD(four2_, twos, two_, two2_);                                                                                \
        ADD(carry, fours, four_, four2_);                                                                              \
    } while (0)
