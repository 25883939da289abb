// Random contents of the native tests, the same in every run.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/bits.h"

inline std::mt19937_64 generator(1);

inline std::vector<uint64_t> packed_rows(size_t rows, size_t depth) {
    const size_t words = binarynet::words_for(depth);
    std::vector<uint64_t> data(rows * words);
    for (size_t i = 0; i < data.size(); ++i) {
        data[i] = generator();
        if (i % words == words - 1) data[i] &= binarynet::low_bits(depth - (words - 1) * binarynet::kWord);
    }
    return data;
}

inline bool bit(const uint64_t* row, size_t i) {
    return row[i / binarynet::kWord] >> i % binarynet::kWord & 1;
}

inline int any(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(generator);
}
inline float real() {
    return std::normal_distribution<float>()(generator);
}
