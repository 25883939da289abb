// What the tests add to doctest: numbers are compared by the million, so that each costs no more than the
// comparison, and is counted.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>

inline long compared = 0;

// Where `holds` is false, fails with the text that printf makes of the rest.
#define SAME(holds, ...)                                   \
    do {                                                   \
        ++compared;                                        \
        if (!(holds)) {                                    \
            char text[300];                                \
            std::snprintf(text, sizeof text, __VA_ARGS__); \
            FAIL_CHECK(#holds << ": " << text);            \
        }                                                  \
    } while (0)

// How many numbers were compared for an instruction set, in the output of `make check-isa`.
inline void report(const char* name, long numbers) {
    std::printf("  %-14s %8ld numbers compared\n", name, numbers);
}
