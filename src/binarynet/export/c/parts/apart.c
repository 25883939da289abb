#pragma once
/* Loops that are worth all registers stay functions of their own. */
#ifdef __GNUC__
#define APART __attribute__((noinline)) static
#else
#define APART static
#endif
