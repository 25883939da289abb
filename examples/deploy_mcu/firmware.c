/* Runs the network on images that lie in flash, and prints what came out.
 *
 * Lines: "loop TICKS" (a loop of 200,000 instructions, to know what a tick is), for each image its answers as the 32 bits
 * of each, in hexadecimal, and behind "ticks" what it took, then "stack BYTES" (the deepest it was).
 */
#include "net.h"

#include "images.h"
#include "port.h"

static void print_number(const char *name, uint32_t number)
{
    char digits[12] = {0};
    int32_t at = 11;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    print(name);
    print(digits + at);
    print("\n");
}

static void print_bits(uint32_t bits)
{
    char digits[10] = {0};
    for (int32_t k = 0; k < 8; k++)
        digits[k] = "0123456789abcdef"[bits >> (28 - 4 * k) & 15];
    digits[8] = ' ';
    print(digits);
}

int main(void)
{
    static net_arena arena;
    static net_input image[NET_INPUTS];
    static net_output answers[NET_OUTPUTS];
    start_clock();
    print_number("loop ", calibrate());
    for (uint32_t k = 0; k < IMAGES; k++) {
        for (uint32_t c = 0; c < NET_INPUTS; c++)
            image[c] = images[k][c];
        const uint32_t before = now();
#ifdef CLASS_ALONE
        const int32_t best = net_class(image, &arena);
        for (int32_t c = 0; c < NET_OUTPUTS; c++)
            answers[c] = (net_output)(c == best);
#else
        net_logits(image, answers, &arena);
#endif
        const uint32_t ticks = now() - before;
        for (int32_t c = 0; c < NET_OUTPUTS; c++) {
            union {
                net_output answer;
                uint32_t bits;
            } both = {answers[c]};
            print_bits(both.bits);
        }
        print_number("ticks ", ticks);
    }
    print_number("stack ", stack_used());
    finish();
    return 0;
}
