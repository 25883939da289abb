// The one loop of all units and instruction sets: sums of kRows × kVectors vectors stay in registers over all
// segments.
//
// An Isa has Word (a vector as it lies in memory), Sum, load(), broadcast(), and for each unit a rule
// `Sum dot(Sum, Word left, Word right)`.
#pragma once

#include "kernels/contract.h"  // BINARYNET_UNROLL
#include "training/strip.h"

namespace binarynet::training {
namespace {

template <class U, int kRows, int kVectors>
void multiply_strip(const Strip& s) {
    using Word = typename U::Word;
    using Sum = typename U::Sum;
    constexpr size_t kVector = sizeof(Word);
    uint8_t* const sums = static_cast<uint8_t*>(s.sums);
    Sum sum[kRows][kVectors];
    BINARYNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
        BINARYNET_UNROLL
        for (int v = 0; v < kVectors; ++v)
            sum[r][v] =
                s.add ? U::load_sum(sums + static_cast<size_t>(r * kVectors + v) * kVector) : U::zero();
    }
    const size_t left_step = s.left_step, right_step = s.right_step;
    for (size_t segment = 0; segment < s.segments; ++segment) {
        const uint8_t* left[kRows];
        BINARYNET_UNROLL
        for (int r = 0; r < kRows; ++r) left[r] = s.left[r] + s.left_at[segment];
        const uint8_t* right = s.right + s.right_at[segment];
        for (size_t step = 0, at = 0; step < s.steps; ++step, at += left_step, right += right_step) {
            Word column[kVectors];
            BINARYNET_UNROLL
            for (int v = 0; v < kVectors; ++v) column[v] = U::load(right + static_cast<size_t>(v) * kVector);
            BINARYNET_UNROLL
            for (int r = 0; r < kRows; ++r) {
                const Word row = U::broadcast(left[r] + at);
                BINARYNET_UNROLL
                for (int v = 0; v < kVectors; ++v) sum[r][v] = U::dot(sum[r][v], row, column[v]);
            }
        }
    }
    BINARYNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
        BINARYNET_UNROLL
        for (int v = 0; v < kVectors; ++v)
            U::store_sum(sums + static_cast<size_t>(r * kVectors + v) * kVector, sum[r][v]);
    }
}

}  // namespace
}  // namespace binarynet::training
