/* Cortex-M: SysTick counts, semihosting prints. */
#include "port.h"

extern uint32_t data_source, data_begin, data_end, bss_begin, bss_end, stack_top;

#define SYSTICK ((volatile uint32_t *)0xE000E010) /* control, reload, value */

void reset(void);

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

/* The debugger, here QEMU, does what r0 asks for with r1. */
static void semihost(uint32_t what, const void *argument)
{
    register uint32_t r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *text) { semihost(4, text); }

void finish(void) { semihost(0x18, (const void *)0x20026); }

void start_clock(void)
{
    SYSTICK[1] = 0xffffff;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7; /* on, with its interrupt, by the processor's clock */
}

/* The counter has 24 bits and runs down. */
uint32_t now(void)
{
    uint32_t before, value;
    do {
        before = rounds;
        value = SYSTICK[2];
    } while (before != rounds);
    return (before << 24) + (0xffffff - value);
}

uint32_t calibrate(void)
{
    uint32_t left = 100000;
    const uint32_t before = now();
    __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(left) : : "cc");
    return now() - before;
}

uint32_t stack_used(void)
{
    const unsigned char *deepest = (const unsigned char *)&bss_end;
    while (*deepest == UNUSED_STACK)
        deepest++;
    return (uint32_t)((const unsigned char *)&stack_top - deepest);
}

void reset(void)
{
    const uint32_t *from = &data_source;
    for (uint32_t *to = &data_begin; to < &data_end;)
        *to++ = *from++;
    for (uint32_t *to = &bss_begin; to < &bss_end;)
        *to++ = 0;
    unsigned char *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (volatile unsigned char *to = (unsigned char *)&bss_end; to < here - 64;)
        *to++ = UNUSED_STACK;
    main();
    fault();
}
