/* ATmega under simavr: timer 1 counts cycles, the serial port prints. */
#include "port.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

extern unsigned char _end, __stack; /* of the linker: where the stack may come down to, and where it starts */

static volatile uint16_t rounds; /* of the counter, 2^16 cycles each */

ISR(TIMER1_OVF_vect) { rounds++; }

/* Before main, and before there is a stack. */
__attribute__((naked, used, section(".init1"))) static void paint(void)
{
    __asm__ volatile("ldi r30, lo8(_end)\n ldi r31, hi8(_end)\n ldi r24, 0xC5\n ldi r25, hi8(__stack)\n"
                     "1: st Z+, r24\n cpi r30, lo8(__stack)\n cpc r31, r25\n brlo 1b\n breq 1b");
}

void start_clock(void)
{
    UCSR0B = 1 << TXEN0;
    TCCR1B = 1 << CS10;
    TIMSK1 = 1 << TOIE1;
    sei();
}

uint32_t now(void)
{
    uint16_t before, value;
    do {
        before = rounds;
        value = TCNT1;
    } while (before != rounds);
    return ((uint32_t)before << 16) + value;
}

uint32_t calibrate(void) { return 200000; } /* ticks are cycles */

void print(const char *text)
{
    for (; *text; text++) {
        while (!(UCSR0A & 1 << UDRE0))
            ;
        UDR0 = (uint8_t)*text;
    }
}

void finish(void)
{
    while (!(UCSR0A & 1 << UDRE0))
        ;
    cli();
    sleep_mode(); /* with interrupts off the simulator ends */
}

uint32_t stack_used(void)
{
    const unsigned char *deepest = &_end;
    while (*deepest == UNUSED_STACK)
        deepest++;
    return (uint32_t)(&__stack - deepest + 1);
}
