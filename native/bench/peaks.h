// What this machine can do at most: multiply-adds on registers alone, and bytes read over and over. What a
// benchmark divides by.
#pragma once

#include <stddef.h>

#include <string>
#include <vector>

namespace binarynet {

// The arithmetic units this CPU has and this page knows: "avx2 fma", "avx512 fma" (float32), "avx512 vnni"
// (u8 × s8), "amx bf16", "amx int8", "avx2 popcount", "avx512 popcount" (±1 × ±1), "avx2 adders", "avx512
// adders" (±1 × ±1, rows of random signs in pairs).
std::vector<std::string> arithmetic_units();

// Multiply-adds a second of all threads together, each the best of many loops, in its own CPU time. 0 for a
// unit that is not there.
double arithmetic_rate(const std::string& unit, int threads);

// Bytes a second that all threads together read when each goes over its own equal part of `bytes` again and
// again.
double read_rate(size_t bytes, int threads);

}  // namespace binarynet
