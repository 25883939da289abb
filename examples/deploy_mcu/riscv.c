/* RV32 on QEMU's machine virt: minstret counts, semihosting prints. */
#include "port.h"

extern uint32_t bss_begin, bss_end, stack_top;

void start(void);

/* Entry, and the three instructions by which QEMU knows a call of the debugger: none of them may be compressed. */
__asm__(".section .vectors, \"ax\"\n.globl reset\nreset: la sp, stack_top\n j start\n"
        ".text\n.option push\n.option norvc\n.balign 16\n"
        "semihost: slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n ret\n.option pop");
uint32_t semihost(uint32_t what, const void *argument);

void print(const char *text) { semihost(4, text); }

void finish(void) { semihost(0x18, (const void *)0x20026); }

void start_clock(void) {}

uint32_t now(void)
{
    uint32_t count;
    __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop" : "=r"(count) : : "memory");
    return count;
}

uint32_t calibrate(void)
{
    uint32_t left = 100000;
    const uint32_t before = now();
    __asm__ volatile("1: addi %0, %0, -1\n bnez %0, 1b" : "+r"(left));
    return now() - before;
}

uint32_t stack_used(void)
{
    const unsigned char *deepest = (const unsigned char *)&bss_end;
    while (*deepest == UNUSED_STACK)
        deepest++;
    return (uint32_t)((const unsigned char *)&stack_top - deepest);
}

__attribute__((used)) void start(void)
{
    for (uint32_t *to = &bss_begin; to < &bss_end;)
        *to++ = 0;
    unsigned char *here;
    __asm__ volatile("mv %0, sp" : "=r"(here));
    for (volatile unsigned char *to = (unsigned char *)&bss_end; to < here - 64;)
        *to++ = UNUSED_STACK;
    main();
    finish();
}
