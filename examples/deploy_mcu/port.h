/* What firmware.c needs of a processor: a clock that counts instructions (on an AVR: cycles), and a way to print. */
#include <stdint.h>

#ifdef __AVR__
#include <avr/pgmspace.h>
#define IN_FLASH __flash
#else
#define IN_FLASH
#endif

#define UNUSED_STACK 0xC5 /* what every byte of stack holds before it is used */

void start_clock(void);
uint32_t now(void); /* differences count, also across its end */
uint32_t calibrate(void); /* ticks that a loop of 200,000 instructions takes */
void print(const char *text);
void finish(void);
uint32_t stack_used(void); /* the deepest it has been, in bytes */
int main(void);
