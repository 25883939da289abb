/* Runs the network on images that lie in flash, and prints over semihosting what came out.
 *
 * Lines: "loop TICKS" (a loop of 200,000 instructions, to know what a tick is), for each image its answers as the 32 bits
 * of each, in hexadecimal, then "ticks TOTAL" (of all calls of net_logits) and "stack BYTES" (the deepest it was).
 */
#include "net.h"

#include "images.h"

extern uint32_t data_source, data_begin, data_end, bss_begin, bss_end, stack_top;

#define SYSTICK ((volatile uint32_t *)0xE000E010) /* control, reload, value */
#define UNUSED_STACK 0xC0DEC0DEu
#define LOOPS 100000u

void reset(void);
int main(void);

static void fault(void)
{
    for (;;)
        ;
}

static volatile uint32_t rounds; /* of the counter, 2^24 ticks each */

static void round_over(void) { rounds++; }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    [0] = &stack_top, [1] = (const void *)reset, [2] = (const void *)fault, [3] = (const void *)fault,
    [15] = (const void *)round_over,
};

/* ARM semihosting: the debugger, here QEMU, does what r0 asks for with r1. */
static void semihost(uint32_t what, const void *argument)
{
    register uint32_t r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(const char *text) { semihost(4, text); }

static void print_number(const char *name, uint64_t number)
{
    char digits[22] = {0};
    int32_t at = 21;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    print(name);
    print(digits + at);
    print("\n");
}

static void print_answers(const net_output *answers)
{
    static char line[9 * NET_OUTPUTS + 1];
    for (int32_t c = 0; c < NET_OUTPUTS; c++) {
        union {
            net_output answer;
            uint32_t bits;
        } both = {answers[c]};
        for (int32_t k = 0; k < 8; k++)
            line[9 * c + k] = "0123456789abcdef"[both.bits >> (28 - 4 * k) & 15];
        line[9 * c + 8] = c + 1 < NET_OUTPUTS ? ' ' : '\n';
    }
    print(line);
}

/* Ticks since the start. The counter has 24 bits and runs down. */
static uint64_t now(void)
{
    uint32_t before, value;
    do {
        before = rounds;
        value = SYSTICK[2];
    } while (before != rounds);
    return ((uint64_t)before << 24) + (0xffffff - value);
}

static uint64_t loop(void)
{
    uint32_t left = LOOPS;
    const uint64_t before = now();
    __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(left) : : "cc");
    return now() - before;
}

int main(void)
{
    static net_arena arena;
    static net_output answers[NET_OUTPUTS];
    uint64_t total = 0;
    SYSTICK[1] = 0xffffff;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7; /* on, with its interrupt, by the processor's clock */
    print_number("loop ", loop());
    for (uint32_t k = 0; k < IMAGES; k++) {
        const uint64_t before = now();
        net_logits(images[k], answers, &arena);
        total += now() - before;
        print_answers(answers);
    }
    print_number("ticks ", total);
    const uint32_t *deepest = &bss_end;
    while (*deepest == UNUSED_STACK)
        deepest++;
    print_number("stack ", (uint32_t)((const char *)&stack_top - (const char *)deepest));
    semihost(0x18, (const void *)0x20026); /* the program has ended well */
    return 0;
}

void reset(void)
{
    const uint32_t *from = &data_source;
    for (uint32_t *to = &data_begin; to < &data_end;)
        *to++ = *from++;
    for (uint32_t *to = &bss_begin; to < &bss_end;)
        *to++ = 0;
    uint32_t *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (volatile uint32_t *to = &bss_end; to < here - 16;)
        *to++ = UNUSED_STACK;
    main();
    fault();
}
