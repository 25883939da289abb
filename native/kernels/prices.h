// What a step does, counted, and what that costs: from these come the choice of a kernel, the decision to
// share work between threads, and the times that `binarynet inspect` expects.
//
// A step counts its work (Work) in the counts that native/kernels/counts.inc lists. Each instruction set has
// a price for each of them (native/kernels/costs/<isa>.inc); the time that one thread needs is the sum of the
// products. Prices are fitted to measured steps by one command (benchmarks/costs.py).
#pragma once

#include <stddef.h>

namespace binarynet {

struct Work {
    enum Count {
#define COUNT(name, what) name,
#include "counts.inc"
#undef COUNT
        kCounts
    };

    double amount[kCounts] = {};

    Work() = default;
    // One step that does so much of one thing.
    Work(Count count, double much) {
        amount[steps] = 1;
        amount[count] = much;
    }

    double& operator[](Count count) { return amount[count]; }

    static constexpr const char* kNames[] = {
#define COUNT(name, what) #name,
#include "counts.inc"
#undef COUNT
    };
};

// A line of a price list.
struct Price {
    Work::Count count;
    double nanoseconds;
};

// Nanoseconds of one thread for one of each count.
struct Prices {
    double of[Work::kCounts];

    double nanoseconds(const Work& work) const {
        double sum = 0;
        for (size_t i = 0; i < Work::kCounts; ++i) sum += work.amount[i] * of[i];
        return sum;
    }
};

// Does a list name every count, and each of them once?
template <size_t N>
constexpr bool complete(const Price (&list)[N]) {
    size_t seen[Work::kCounts] = {};
    for (const Price& price : list) ++seen[price.count];
    for (size_t times : seen)
        if (times != 1) return false;
    return true;
}

template <size_t N>
constexpr Prices by_count(const Price (&list)[N]) {
    Prices prices{};
    for (const Price& price : list) prices.of[price.count] = price.nanoseconds;
    return prices;
}

// A line of costs/<isa>.inc, which is the inside of a list of Price.
#define PRICE(count, nanoseconds) {Work::count, nanoseconds},

}  // namespace binarynet
