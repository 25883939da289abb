/* The same shapes in int8, as TFLite Micro and CMSIS-NN compute them, for the table of run.py --int8:
 *
 *     columns of the image as int16, two places by two outputs at a time, SMLAD where the processor has it;
 *     an accumulator becomes int8 by a multiplier and a shift of its own for each output, rounded, then ReLU.
 *
 * int8.py writes the layers behind this text. */
#include "net.h"

#include <string.h>
#ifdef __ARM_FEATURE_DSP
#include <arm_acle.h>
#endif

typedef struct {
    const int8_t *weight; /* (outputs, depth) */
    const int32_t *bias, *multiplier;
    const uint8_t *shift;
    int32_t depth, outputs;
} product;

static inline int8_t requantized(const product *p, int32_t output, int32_t sum)
{
    const int32_t shift = p->shift[output];
    const int64_t wide = (int64_t)(sum + p->bias[output]) * p->multiplier[output];
    const int32_t rounded = (int32_t)((wide + ((int64_t)1 << (shift - 1))) >> shift);
    return (int8_t)(rounded < 0 ? 0 : rounded > 127 ? 127 : rounded);
}

/* Two outputs at two places: sums (output 0 at place 0, at place 1, output 1 at place 0, at place 1). */
static void four(const int16_t *x0, const int16_t *x1, const int8_t *w0, const int8_t *w1, int32_t depth, int32_t sum[4])
{
    int32_t a = 0, b = 0, c = 0, d = 0, k = 0;
#ifdef __ARM_FEATURE_DSP
    for (; k + 4 <= depth; k += 4) {
        uint32_t p, q, low0, high0, low1, high1;
        int16x2_t even0, odd0, even1, odd1;
        memcpy(&p, w0 + k, 4);
        memcpy(&q, w1 + k, 4);
        memcpy(&low0, x0 + k, 4); /* columns hold values 0 and 2, then 1 and 3, as SXTB16 hands out the weights */
        memcpy(&high0, x0 + k + 2, 4);
        memcpy(&low1, x1 + k, 4);
        memcpy(&high1, x1 + k + 2, 4);
        even0 = __sxtb16(p);
        odd0 = __sxtb16(p >> 8 | p << 24);
        even1 = __sxtb16(q);
        odd1 = __sxtb16(q >> 8 | q << 24);
        a = __smlad(odd0, (int16x2_t)high0, __smlad(even0, (int16x2_t)low0, a));
        b = __smlad(odd0, (int16x2_t)high1, __smlad(even0, (int16x2_t)low1, b));
        c = __smlad(odd1, (int16x2_t)high0, __smlad(even1, (int16x2_t)low0, c));
        d = __smlad(odd1, (int16x2_t)high1, __smlad(even1, (int16x2_t)low1, d));
    }
#endif
    for (; k < depth; k++) {
        const int32_t p = w0[k], q = w1[k], x = x0[k], y = x1[k];
        a += p * x;
        b += p * y;
        c += q * x;
        d += q * y;
    }
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

/* int8 → int16, in the order that four() reads. */
static int16_t *widened(const int8_t *x, int32_t count, int16_t *to)
{
    for (int32_t k = 0; k < count; k++)
        to[k] = x[k];
    return to + count;
}

static void ordered(int16_t *column, int32_t depth)
{
#ifdef __ARM_FEATURE_DSP
    for (int32_t k = 0; k + 4 <= depth; k += 4) {
        const int16_t one = column[k + 1];
        column[k + 1] = column[k + 2];
        column[k + 2] = one;
    }
#else
    (void)column;
    (void)depth;
#endif
}

/* One column: what lies under the 3 × 3 window at a place, zeros outside. */
static void gather(const int8_t *image, int32_t side, int32_t channels, int32_t place, int16_t *column)
{
    const int32_t row = place / side, left = place % side;
    int16_t *to = column;
    for (int32_t ky = -1; ky <= 1; ky++) {
        for (int32_t kx = -1; kx <= 1; kx++) {
            const int32_t y = row + ky, x = left + kx;
            if (y < 0 || y >= side || x < 0 || x >= side) {
                memset(to, 0, 2 * (size_t)channels);
                to += channels;
            } else {
                to = widened(image + (y * side + x) * channels, channels, to);
            }
        }
    }
    ordered(column, 9 * channels);
}

/* Outputs are even in number; of an odd number of places the last is computed twice. */
static void convolution(const product *p, const int8_t *image, int32_t side, int32_t channels, int16_t *columns, int8_t *to)
{
    for (int32_t place = 0; place < side * side; place += 2) {
        const int32_t second = place + 1 < side * side ? place + 1 : place;
        gather(image, side, channels, place, columns);
        gather(image, side, channels, second, columns + p->depth);
        for (int32_t o = 0; o < p->outputs; o += 2) {
            int32_t sum[4];
            four(columns, columns + p->depth, p->weight + o * p->depth, p->weight + (o + 1) * p->depth, p->depth, sum);
            to[place * p->outputs + o] = requantized(p, o, sum[0]);
            to[place * p->outputs + o + 1] = requantized(p, o + 1, sum[2]);
            to[second * p->outputs + o] = requantized(p, o, sum[1]);
            to[second * p->outputs + o + 1] = requantized(p, o + 1, sum[3]);
        }
    }
}

static void pool(const int8_t *image, int32_t side, int32_t channels, int8_t *to)
{
    const int32_t half = side / 2;
    for (int32_t y = 0; y < half; y++) {
        for (int32_t x = 0; x < half; x++) {
            const int8_t *top = image + (2 * y * side + 2 * x) * channels, *bottom = top + side * channels;
            for (int32_t c = 0; c < channels; c++) {
                const int8_t a = top[c] > top[c + channels] ? top[c] : top[c + channels];
                const int8_t b = bottom[c] > bottom[c + channels] ? bottom[c] : bottom[c + channels];
                *to++ = a > b ? a : b;
            }
        }
    }
}

/* to: int8 behind ReLU; or null, and the sums go to logits. */
static void dense(const product *p, const int8_t *x, int16_t *column, int8_t *to, net_output *logits)
{
    (void)widened(x, p->depth, column);
    ordered(column, p->depth);
    for (int32_t o = 0; o < p->outputs; o += 2) {
        int32_t sum[4];
        four(column, column, p->weight + o * p->depth, p->weight + (o + 1) * p->depth, p->depth, sum);
        for (int32_t k = 0; k < 2; k++) {
            if (to)
                to[o + k] = requantized(p, o + k, sum[2 * k]);
            else
                logits[o + k] = (net_output)(sum[2 * k] + p->bias[o + k]);
        }
    }
}
