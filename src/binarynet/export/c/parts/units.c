#pragma once
#include "adders.c"
#include "apart.c"
#include "unit.c"

#define TERM(k) w[list[k]]

/* Eight or sixteen of what is left of the list into ones to eights; what is carried is worth sixteen. */
#define ADD_SIXTEEN(carry)                                                                                             \
    do {                                                                                                               \
        word eight_, eight2_ = 0, eights_ = counters[3];                                                               \
        ADD_EIGHT(eight_);                                                                                             \
        if ((list += 8) < end) {                                                                                       \
            ADD_EIGHT(eight2_);                                                                                        \
            list += 8;                                                                                                 \
        }                                                                                                              \
        ADD(carry, eights_, eight_, eight2_);                                                                          \
        counters[3] = eights_;                                                                                         \
    } while (0)

/* Add a carry of each lane to its counter, from this digit on. */
#define RIPPLE(digit, carry)                                                                                           \
    for (word *digit_ = (digit), carry_ = (carry); carry_; digit_++) {                                                 \
        const word next_ = *digit_ & carry_;                                                                           \
        *digit_ ^= carry_;                                                                                             \
        carry_ = next_;                                                                                                \
    }

/* The places of the ones of a word, numbered from `place` on, go to the list; returns its end. */
static uint8_t *list_ones(uint8_t *list, word bits, int32_t place)
{
#if WORD >= 32 && (defined(__ARM_FEATURE_CLZ) || defined(__riscv_zbb) || defined(__x86_64__) || defined(__aarch64__))
    for (place += WORD - 1; bits;) {
        const int32_t zeros = WORD == 64 ? __builtin_clzll(bits) : __builtin_clz((unsigned)bits);
        *list++ = (uint8_t)(place - zeros);
        bits &= (word) ~((word)1 << (WORD - 1) >> zeros);
    }
#else
#define LIST_ONE(k)                                                                                                    \
    if (bits >> (k) & 1)                                                                                               \
        *list++ = (uint8_t)(place + (k));
    for (; bits; bits >>= 8, place += 8) {
        LIST_ONE(0)
        LIST_ONE(1)
        LIST_ONE(2)
        LIST_ONE(3)
        LIST_ONE(4)
        LIST_ONE(5)
        LIST_ONE(6)
        LIST_ONE(7)
    }
#endif
    return list;
}

static unit begun_unit(word *memory, int32_t most)
{
    const unit made = {memory, 0, 0};
    (void)most;
    return made;
}

/* The unit is a list of the places of its ones. */
static void put_bits(unit *u, const word *x, int32_t from, int32_t count)
{
    uint8_t *list = (uint8_t *)u->memory + u->ones;
    int32_t place = u->entries;
    u->entries += count;
    x += (uint32_t)from / WORD;
    if (((uint32_t)from | (uint32_t)count) % WORD == 0)
        for (; count > 0; count -= WORD, place += WORD)
            list = list_ones(list, *x++, place);
    else
        for (int32_t shift = (int32_t)((uint32_t)from % WORD); count > 0; shift = 0) {
            const int32_t part = count < WORD - shift ? count : WORD - shift;
            list = list_ones(list, (word)(*x++ >> shift) & (word)(ALL_ONES >> (WORD - part)), place);
            place += part;
            count -= part;
        }
    u->ones = (int32_t)(list - (uint8_t *)u->memory);
}

/* Digit n of some codes. */
static void put_codes(unit *u, const uint8_t *codes, int32_t n, int32_t count)
{
    uint8_t *list = (uint8_t *)u->memory + u->ones;
    for (int32_t k = 0; k < count; k++)
        if (codes[k] >> n & 1)
            *list++ = (uint8_t)(u->entries + k);
    u->entries += count;
    u->ones = (int32_t)(list - (uint8_t *)u->memory);
}

/* The list becomes whole eights; `zero` is where the weights hold a 0. */
static int32_t end_unit(unit *u, int32_t zero)
{
    uint8_t *const list = (uint8_t *)u->memory;
    for (int32_t k = u->ones; k & 7; k++)
        list[k] = (uint8_t)zero;
    return u->ones;
}

/* Add the words of w at which the unit has a 1 to the counters of all lanes; counters[n] holds digit n of each. There
 * is one word more than numbers fill, so that a carry ends there at the latest: `digits` need not be counted. */
APART void add_unit(word *counters, const FLASH word *w, const unit *u, int32_t digits)
{
    const uint8_t *list = (const uint8_t *)u->memory, *const end = list + u->ones;
    word ones = counters[0], twos = counters[1], fours = counters[2];
    (void)digits;
    while (list < end) { /* thirty-two at a time: carries run far */
        word carry, more = 0, sixteens;
        ADD_SIXTEEN(carry);
        if (list < end)
            ADD_SIXTEEN(more);
        sixteens = counters[4];
        ADD(carry, sixteens, carry, more);
        counters[4] = sixteens;
        RIPPLE(counters + 5, carry)
    }
    counters[0] = ones;
    counters[1] = twos;
    counters[2] = fours;
}

/* Whether a code is added at all. */
static int32_t adds(int32_t code) { return code; }

/* Add the words of w as often as a code says. */
static void add_code(word *counters, word w, int32_t code, int32_t digits)
{
    word carry = 0;
    (void)digits;
    for (; code || carry; code >>= 1, counters++) {
        const word more = code & 1 ? w : 0, was = *counters, either = was ^ more;
        *counters = either ^ carry;
        carry = (was & more) | (either & carry);
    }
}

/* The lanes whose number, of `digits` words, is not less than `least`. */
APART word reached(const word *number, int32_t digits, int32_t least)
{
    word equal_or_more = ALL_ONES;
    if (!least)
        return (word)~number[digits - 1];
    for (const word *const last = number + digits - 1; number < last; number++, least >>= 1)
        if (least & 1)
            equal_or_more &= *number;
        else
            equal_or_more |= *number;
    return equal_or_more ^ *number;
}
