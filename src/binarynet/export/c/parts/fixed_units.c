#pragma once
#include "adders.c"
#include "apart.c"
#include "copy_bits.c"
#include "counting.c"
#include "unit.c"

static unit begun_unit(word *memory, int32_t most)
{
    const unit made = {memory, 0, 0};
    memset(memory, 0, (size_t)((most + WORD - 1) / WORD) * sizeof *memory);
    return made;
}

/* The unit is its digits, and every one of them is added, under a mask: neither time nor addresses depend on them. */
static void put_bits(unit *u, const word *x, int32_t from, int32_t count)
{
    copy_bits(u->memory, u->entries, x, from, count);
    for (u->entries += count; count > 0; count -= WORD, from += WORD) {
        word bits = 0;
        copy_bits(&bits, 0, x, from, count < WORD ? count : WORD);
        u->ones += sum_of_bytes(byte_counts(bits));
    }
}

/* Digit n of some codes. */
static void put_codes(unit *u, const uint8_t *codes, int32_t n, int32_t count)
{
    for (int32_t k = 0; k < count; k++, u->entries++) {
        const word digit = (word)(codes[k] >> n & 1);
        u->memory[u->entries / WORD] |= (word)(digit << (u->entries % WORD));
        u->ones += (int32_t)digit;
    }
}

/* Never 0, so that nothing is left out. */
static int32_t end_unit(unit *u, int32_t zero)
{
    (void)u;
    return zero;
}

#define TERM(k) (word)(w[k] & ((word)0 - (bits >> (k) & 1)))

/* Add a carry of each lane to its counter, through all digits. */
static void add_carry(word *counters, word carry, int32_t digits)
{
    for (; digits > 0; digits--, counters++) {
        const word next = *counters & carry;
        *counters ^= carry;
        carry = next;
    }
}

/* Add the words of w at which the unit has a 1 to the counters of all lanes; counters[n] holds digit n of each. */
APART void add_unit(word *counters, const FLASH word *w, const unit *u, int32_t digits)
{
    word ones = counters[0], twos = counters[1], fours = counters[2];
    int32_t k = 0;
    for (; k + 8 <= u->entries; k += 8, w += 8) {
        const word bits = u->memory[k / WORD] >> (k % WORD);
        word carry;
        ADD_EIGHT(carry);
        add_carry(counters + 3, carry, digits - 3);
    }
    counters[0] = ones;
    counters[1] = twos;
    counters[2] = fours;
    for (; k < u->entries; k++, w++) {
        const word bits = u->memory[k / WORD] >> (k % WORD);
        add_carry(counters, TERM(0), digits);
    }
}

/* Whether a code is added at all. */
static int32_t adds(int32_t code)
{
    (void)code;
    return 1;
}

/* Add the words of w as often as a code says. */
static void add_code(word *counters, word w, int32_t code, int32_t digits)
{
    word carry = 0;
    for (int32_t n = 0; n < digits; n++, code >>= 1) {
        const word more = (word)(w & ((word)0 - (word)(code & 1))), was = counters[n], either = was ^ more;
        counters[n] = either ^ carry;
        carry = (was & more) | (either & carry);
    }
}

/* The lanes whose number, of `digits` words, is not less than `least`. */
static word reached(const word *number, int32_t digits, int32_t least)
{
    word equal_or_more = ALL_ONES;
    for (int32_t n = 0; n < digits - 1; n++, least >>= 1) {
        const word taken = (word)0 - (word)(least & 1);
        equal_or_more = (number[n] & equal_or_more) | (word)((number[n] | equal_or_more) & ~taken);
    }
    return equal_or_more ^ number[digits - 1];
}
