// EACH_LENGTH before a function of plain loops: it is compiled once for each vector length, and the loader
// takes the longest that the processor has. As no product is contracted with a sum (-ffp-contract=off), all
// give the same bits.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define EACH_LENGTH __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_LENGTH
#endif
