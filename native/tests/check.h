// The smallest test harness: CHECK counts, main() reports.
#pragma once

#include <cstdio>
#include <string>

inline int checks = 0, failures = 0;

#define CHECK(condition, ...)                                                    \
    do {                                                                         \
        ++checks;                                                                \
        if (!(condition) && ++failures <= 20) {                                  \
            std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            std::fprintf(stderr, __VA_ARGS__);                                   \
            std::fprintf(stderr, "\n");                                          \
        }                                                                        \
    } while (0)

// Whether calling `body` throws Error with `part` in its text.
template <class Error, class Body>
bool throws(Body&& body, const std::string& part) {
    try {
        body();
    } catch (const Error& error) {
        return std::string(error.what()).find(part) != std::string::npos;
    }
    return false;
}

inline void report(const char* name, int checked, int failed) {
    std::printf("  %-14s %8d checks, %d failures\n", name, checked, failed);
}

inline int report(const char* name) {
    report(name, checks, failures);
    return failures != 0;
}
