#pragma once
#include "apart.c"
#include "units.c"
#include "row_under.c"

/* Products of +1 and -1 weights whose outputs lie side by side, one in each bit of a word. A lane counts in `counters`
 * words, digit by digit, from minus its threshold on; where it reaches the sum of the codes, its output is 1:
 *     2 * (sum of the codes at which its weight is +1) - (sum of all codes) >= threshold */
typedef struct {
    window in;
    int32_t planes;            /* digits of a code; 0: the input is bits */
    int32_t unit;              /* digits of a column that are added together; 0: codes, one after the other */
    int32_t column_words;      /* weights of a column: a word for each digit and, behind each unit, a 0 */
    int32_t width;             /* of the output */
    int32_t groups, blocks;    /* blocks of WORD outputs in a group */
    int32_t open;              /* at most so many outputs of a row wait for columns at once */
    int32_t digits;            /* of a lane's number; the counters of an output are one word more, where a carry ends */
    const FLASH word *weights; /* [group][block][kernel column][column_words] */
    const FLASH word *starts;  /* [row class][column class][group][block][digits]: minus the thresholds */
    const FLASH word *falls;   /* [group][block] 1: the output is 1 where the threshold is not reached */
    const FLASH uint8_t *row_class, *column_class;
    int32_t column_classes;
} lanes;

/* What a row works with. Outputs first ... end - 1 are open; `slot` is where the counters of the first are. */
typedef struct {
    word *counters, *memory; /* of the open outputs; of a unit */
    int32_t *sums;           /* of the codes under each open output */
    const int32_t *rows;     /* where the row under each kernel row begins, -1 if outside */
    int32_t group, column, first, end, slot;
} lane_row;

/* Add a unit of digits worth 2^n, or without one a code, to the outputs that see the column; weights begin at `from`.
 */
APART void add_to_open(const FLASH lanes *v, const lane_row *at, const unit *u, int32_t n, int32_t from)
{
    const int32_t blocks = v->blocks, size = v->digits + 1, far = v->column_words, wide = v->in.kernel_width;
    const int32_t step = v->in.stride_right, apart = v->in.dilation_right, next = wide * far;
    const int32_t sum = (v->unit ? u->ones : u->entries) << n;
    const FLASH word *const weights = v->weights + at->group * blocks * next + from;
    int32_t under = at->column + v->in.left - at->first * step, slot = at->slot;
    for (int32_t left = at->end - at->first; left > 0; left--, under -= step) {
        const int32_t kx = apart == 1 ? under : under / apart;
        if (kx < wide && (apart == 1 || kx * apart == under)) {
            const FLASH word *w = weights + kx * far;
            word *counters = at->counters + slot * blocks * size + 1 + n;
            at->sums[slot] += sum;
            for (int32_t b = blocks; b > 0; b--, w += next, counters += size)
                if (v->unit)
                    add_unit(counters, w, u, size - 1 - n);
                else
                    add_code(counters, *w, u->entries, size - 1);
        }
        if (++slot == v->open)
            slot = 0;
    }
}

/* One column of the image: of plane n of its codes, or of its bits, unit after unit. */
static void add_digits(const FLASH lanes *v, const void *x, const lane_row *at, int32_t n)
{
    const int32_t channels = v->in.group_channels, first = at->column * v->in.channels + at->group * channels;
    const int32_t *row = at->rows, *const end = row + v->in.kernel_height;
    int32_t c = 0;
    for (int32_t from = 0; row < end; from += v->unit + 1) {
        unit u = begun_unit(at->memory, v->unit);
        while (row < end && u.entries < v->unit) {
            const int32_t rest = v->unit - u.entries, part = channels - c < rest ? channels - c : rest;
            if (*row < 0)
                u.entries += part;
            else if (v->planes)
                put_codes(&u, (const uint8_t *)x + *row + first + c, n, part);
            else
                put_bits(&u, (const word *)x, *row + first + c, part);
            if ((c += part) == channels) {
                c = 0;
                row++;
            }
        }
        if (end_unit(&u, u.entries))
            add_to_open(v, at, &u, n, from);
    }
}

/* One column of the image, code by code. */
static void add_codes(const FLASH lanes *v, const uint8_t *x, const lane_row *at)
{
    const int32_t channels = v->in.group_channels, first = at->column * v->in.channels + at->group * channels;
    for (int32_t ky = 0; ky < v->in.kernel_height; ky++)
        for (int32_t c = 0; c < channels && at->rows[ky] >= 0; c++) {
            const unit code = {at->memory, x[at->rows[ky] + first + c], 0};
            if (adds(code.entries))
                add_to_open(v, at, &code, 0, ky * channels + c);
        }
}

static void open_output(const FLASH lanes *v, const lane_row *at, int32_t row, int32_t slot)
{
    const int32_t class_ = v->row_class[row] * v->column_classes + v->column_class[at->end];
    const int32_t blocks = v->blocks, digits = v->digits;
    const FLASH word *start = v->starts + (class_ * v->groups + at->group) * blocks * digits;
    word *counters = at->counters + slot * blocks * (digits + 1);
    at->sums[slot] = 0;
    for (int32_t b = blocks; b > 0; b--) {
        for (const FLASH word *const end = start + digits; start < end;)
            *counters++ = *start++;
        *counters++ = 0; /* where a carry ends */
    }
}

static void close_output(const FLASH lanes *v, const lane_row *at, word *y)
{
    const int32_t blocks = v->blocks, digits = v->digits, least = at->sums[at->slot];
    const word *counters = at->counters + at->slot * blocks * (digits + 1);
    const FLASH word *falls = v->falls + at->group * blocks;
    y += (at->first * v->groups + at->group) * blocks;
    for (int32_t b = blocks; b > 0; b--, counters += digits + 1)
        *y++ = reached(counters, digits, least) ^ *falls++;
}

/* One row of outputs. */
static void run_lanes(const FLASH lanes *v, const void *x, word *y, int32_t row, word *counters, word *memory,
    int32_t *sums, int32_t *rows)
{
    const FLASH window *const in = &v->in;
    const int32_t reach = (in->kernel_width - 1) * in->dilation_right - in->left;
    lane_row at = {counters, memory, sums, rows, 0, 0, 0, 0, 0};
    for (int32_t ky = 0; ky < in->kernel_height; ky++) {
        const int32_t under = row_under(in, row, ky);
        rows[ky] = under < 0 ? -1 : under * in->channels;
    }
    for (at.group = 0; at.group < v->groups; at.group++) {
        int32_t slot = 0; /* of the next output to open */
        at.first = at.end = at.slot = 0;
        for (at.column = 0; at.column < in->width; at.column++) {
            for (; at.end < v->width && at.end * in->stride_right - in->left <= at.column; at.end++) {
                open_output(v, &at, row, slot);
                if (++slot == v->open)
                    slot = 0;
            }
            if (!v->unit)
                add_codes(v, (const uint8_t *)x, &at);
            else
                for (int32_t n = 0; n < (v->planes ? v->planes : 1); n++)
                    add_digits(v, x, &at, n);
            for (;
                at.first < at.end && (at.column + 1 == in->width || at.first * in->stride_right + reach <= at.column);
                at.first++) {
                close_output(v, &at, y);
                if (++at.slot == v->open)
                    at.slot = 0;
            }
        }
    }
}
