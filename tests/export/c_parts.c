/* Each part against its definition, bit by bit, on random words. Exit code 1 names the first that is wrong. */
#include "and_count.c"
#include "at_least.c"
#include "copy_bits.c"
#include "erf_of.c"
#include "exponential.c"
#include "find_taps.c"
#include "gather_bits.c"
#include "get_bit.c"
#include "get_table_bit.c"
#ifdef CONSTANT_TIME
#include "fixed_units.c"
#include "fixed_rounded.c"
#else
#include "units.c"
#include "rounded.c"
#endif
#include "mark_outside.c"
#include "multiply.c"
#include "or_nan.c"
#include "pool_bits.c"
#include "pool_row.c"
#include "put_bit.c"
#include "reciprocal_of.c"
#include "set_bit.c"
#include "set_bits.c"
#include "sigmoid_of.c"
#include "split.c"
#include "sqrt_of.c"
#include "tanh_of.c"
#include "xor_count.c"
#include "xor_count_where.c"

#include <stdio.h>
#include <stdlib.h>

enum { LENGTH = 70 }; /* words: the counts of a byte are added up in groups of 31 */

static word x[LENGTH], w[LENGTH], where[LENGTH], y[LENGTH];

#define CHECK(condition)                                                                                             \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            printf("line %d: %s\n", __LINE__, #condition);                                                           \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

static uint64_t state = 1;

static word random_word(void)
{
    word made = 0;
    for (int32_t k = 0; k < WORD; k++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        made |= (word)((word)(state >> 63) << k);
    }
    return made;
}

static int32_t below(int32_t count) { return (int32_t)(random_word() % (word)count); }

static void fill(word *to)
{
    for (int32_t k = 0; k < LENGTH; k++)
        to[k] = below(4) ? random_word() : below(2) ? ALL_ONES : 0;
}

static void counts(void)
{
    const int32_t length = below(LENGTH + 1);
    int32_t differ = 0, differ_where = 0, both = 0;
    for (int32_t i = 0; i < length * WORD; i++) {
        differ += get_bit(x, i) != get_bit(w, i);
        differ_where += get_bit(where, i) && get_bit(x, i) != get_bit(w, i);
        both += get_bit(x, i) && get_bit(w, i);
    }
    CHECK(xor_count(x, w, length) == differ);
    CHECK(xor_count_where(x, w, where, length) == differ_where);
    CHECK(and_count(x, w, length) == both);
}

static void strings(void)
{
    const int32_t count = below(3 * WORD), from = below(WORD), to = below(WORD);
    memset(y, 0, sizeof y);
    copy_bits(y, to, x, from, count);
    for (int32_t i = 0; i < LENGTH * WORD; i++)
        CHECK(get_bit(y, i) == (i >= to && i < to + count && get_bit(x, from + i - to)));
    memset(y, 0, sizeof y);
    set_bits(y, to, count);
    set_bit(y, 5 * WORD + from);
    put_bit(y, 6 * WORD + from, 0);
    put_bit(y, 6 * WORD + to, 1);
    for (int32_t i = 0; i < LENGTH * WORD; i++)
        CHECK(get_bit(y, i) == ((i >= to && i < to + count) || i == 5 * WORD + from || i == 6 * WORD + to));
}

static void roundings(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    const int64_t number = (int64_t)(state >> (2 + below(60))) * (below(2) ? 1 : -1);
    CHECK(rounded(number) == (int64_t)(float)number);
    const int64_t half = ((int64_t)1 << 40) + ((int64_t)below(512) << 16); /* a number halfway between two */
    CHECK(rounded(half) == (int64_t)(float)half);
    CHECK(rounded(number & -4096) == (int64_t)(float)(number & -4096));
}

static void digits(void)
{
    uint8_t codes[100];
    const int32_t count = 1 + below(100), words = (count + WORD - 1) / WORD;
    for (int32_t k = 0; k < count; k++)
        codes[k] = (uint8_t)random_word();
    split(codes, count, 8, y, words);
    for (int32_t n = 0; n < 8; n++)
        for (int32_t k = 0; k < words * WORD; k++)
            CHECK(get_bit(y + n * words, k) == (k < count && (codes[k] >> n & 1)));
}

/* A unit of bits and one of codes, added to counters that already hold numbers, and one code. */
static void units(void)
{
    enum { DIGITS = 14, MOST = 255 };
    const int32_t count = 1 + below(MOST), from = below(WORD), plane = below(4), code = below(16), least = below(3000);
    static word weights[MOST + 1], counters[DIGITS + 1], before[DIGITS + 1], memory[MOST + 1];
    static uint8_t codes[MOST];
    for (int32_t k = 0; k < count; k++) {
        weights[k] = random_word();
        codes[k] = (uint8_t)random_word();
    }
    weights[count] = 0;
    for (int32_t n = 0; n <= DIGITS; n++)
        before[n] = counters[n] = n < 8 ? random_word() : 0;
    unit u = begun_unit(memory, count);
    put_bits(&u, x, from, count);
    end_unit(&u, count);
    add_unit(counters, weights, &u, DIGITS);
    unit v = begun_unit(memory, count);
    put_codes(&v, codes, plane, count);
    end_unit(&v, count);
    add_unit(counters + 1, weights, &v, DIGITS - 1);
    if (adds(code))
        add_code(counters + 2, weights[0], code, DIGITS - 2);
    const word not_less = reached(counters, DIGITS, least);
    int32_t ones = 0, ones_of_codes = 0;
    for (int32_t k = 0; k < count; k++) {
        ones += get_bit(x, from + k);
        ones_of_codes += codes[k] >> plane & 1;
    }
    CHECK(u.entries == count && v.entries == count && u.ones == ones && v.ones == ones_of_codes);
    for (int32_t lane = 0; lane < WORD; lane++) {
        int32_t was = 0, is = 0, sum = 0;
        for (int32_t n = 0; n < DIGITS; n++) {
            was |= get_bit(before + n, lane) << n;
            is |= get_bit(counters + n, lane) << n;
        }
        for (int32_t k = 0; k < count; k++)
            sum += get_bit(weights + k, lane) * (get_bit(x, from + k) + 2 * (codes[k] >> plane & 1));
        sum += 4 * code * get_bit(weights, lane);
        CHECK(is == was + sum);
        CHECK(get_bit(&not_less, lane) == (is >= least));
    }
}

/* An image that is pooled row by row, as all windows at once. */
static void rows(void)
{
    enum { HEIGHT = 5, WIDTH = 4 };
    const int32_t words = 1 + below(2), kernel = 1 + below(2), stride = kernel + below(2), top = below(kernel);
    const int32_t made_rows = (HEIGHT + top - kernel) / stride + 1, columns = (WIDTH + top - kernel) / stride + 1;
    const row_pool view = {{HEIGHT, WIDTH, words * WORD, words * WORD, HEIGHT, kernel, kernel, stride, stride, 1, 1, top, top},
        made_rows, columns, made_rows, below(2) ? w : 0};
    for (int32_t row = 0; row < HEIGHT; row++)
        pool_row(&view, x + row * WIDTH * words, y, row);
    for (int32_t at = 0; at < made_rows * columns * words; at++) {
        word any = 0, all = ALL_ONES;
        for (int32_t k = 0; k < kernel * kernel; k++) {
            const int32_t from = pixel(&view.in, at / words / columns, at / words % columns, k / kernel, k % kernel);
            any |= from < 0 ? 0 : x[from * words + at % words];
            all &= from < 0 ? ALL_ONES : x[from * words + at % words];
        }
        const word smallest = view.minimum ? w[at % words] : 0;
        CHECK(y[at] == (word)((any & ~smallest) | (all & smallest)));
    }
}

static void windows(void)
{
    const int32_t channels = 1 + below(WORD + 5), groups = channels % 2 ? 1 : 2;
    const window view = {5, 4, channels, channels / groups, 5, 3, 2, 1 + below(2), 1 + below(2), 1 + below(2), 1, 1, 1};
    const int32_t row = below(2), column = below(2), group = below(groups), depth = 6 * view.group_channels;
    int32_t taps[6], inside = 0;
    word any[LENGTH], all[LENGTH];
    memset(y, 0, sizeof y);
    const int32_t outside = mark_outside(&view, row, column, y);
    gather_bits(&view, x, row, column, group, any);
    const int32_t count = find_taps(&view, row, column, taps);
    for (int32_t k = 0; k < 6; k++) {
        const int32_t at_y = row * view.stride_down + k / 2 * view.dilation_down - 1;
        const int32_t at_x = column * view.stride_right + k % 2 - 1, within = at_y >= 0 && at_y < 5 && at_x >= 0 && at_x < 4;
        CHECK(pixel(&view, row, column, k / 2, k % 2) == (within ? 4 * at_y + at_x : -1));
        if (within)
            CHECK(taps[inside++] == 4 * at_y + at_x);
        for (int32_t c = 0; c < view.group_channels; c++) {
            const int32_t from = (4 * at_y + at_x) * channels + group * view.group_channels + c;
            CHECK(get_bit(y, k * view.group_channels + c) == !within);
            CHECK(get_bit(any, k * view.group_channels + c) == (within && get_bit(x, from)));
        }
    }
    CHECK(count == inside && outside == depth - inside * view.group_channels);
    if (!count)
        return;
    pool_bits(x, taps, count, channels, any, all);
    for (int32_t c = 0; c < channels; c++) {
        int32_t set = 0;
        for (int32_t k = 0; k < count; k++)
            set += get_bit(x, taps[k] * channels + c);
        CHECK(get_bit(any, c) == (set > 0) && get_bit(all, c) == (set == count));
    }
}

/* A float32 formula beside the library's double: within a few units of the last place. */
static int near(float made, double wanted)
{
    const double gap = fabs((double)made - wanted);
    return gap <= 4e-7 || gap <= 4e-7 * fabs(wanted);
}

/* The very bits are held to every other engine's in tests/graph/test_functions.py and tests/export/test_c.py. */
static void functions(void)
{
    for (int32_t k = -900; k <= 900; k++) {
        const float at = 0.0125f * (float)k;
        const double real = at;
        CHECK(near(exponential(at), exp(real)));
        CHECK(near(sigmoid_of(at), 1 / (1 + exp(-real))));
        CHECK(near(tanh_of(at), tanh(real)));
        CHECK(near(erf_of(at), erf(real)));
        CHECK(k < 0 ? isnan(sqrt_of(at)) : near(sqrt_of(at), sqrt(real)));
        CHECK(reciprocal_of(at) == 1.0f / at);
    }
    CHECK(sqrt_of(INFINITY) == INFINITY && sqrt_of(1e-40f) == 0.0f && isnan(sqrt_of(NAN)) && isnan(sqrt_of(-1e-40f)));
    CHECK(sqrt_of(16777216.0f) == 4096.0f && near(sqrt_of(3e38f), sqrt(3e38)) && near(sqrt_of(2e-38f), sqrt(2e-38)));
    CHECK(exponential(88.0f) == INFINITY && exponential(-1000.0f) > 0.0f && exponential(-1000.0f) < 1e-37f);
    CHECK(sigmoid_of(-INFINITY) == 0.0f && sigmoid_of(INFINITY) == 1.0f);
    CHECK(tanh_of(-INFINITY) == -1.0f && erf_of(INFINITY) == 1.0f);
    CHECK(or_nan(1.0f, 2.0f) == 2.0f && isnan(or_nan(NAN, 2.0f)));
    CHECK(isnan(sigmoid_of(NAN)) && isnan(tanh_of(NAN)) && isnan(erf_of(NAN)));
}

int main(void)
{
    functions();
    for (int32_t round = 0; round < 500; round++) {
        fill(x);
        fill(w);
        fill(where);
        counts();
        strings();
        digits();
        windows();
        units();
        roundings();
        CHECK(get_table_bit(x, round % WORD) == get_bit(x, round % WORD));
        rows();
    }
    CHECK(at_least(3, 3) && at_least(3, -3) && !at_least(-4, -3) && !at_least(-(1 << 30), (1 << 30) - 1));
    CHECK(multiply(3.0f, -0.5f) == -1.5f);
    return 0;
}
