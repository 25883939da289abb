// Right operands, and left ones of the gradient of the weights: some rows that are multiplied together, one
// beside the other in the 4 bytes of a lane. The rows are filters, or images.
//
//     row 0: a b c …      row 1: p q r …      →      lane 0: a p · ·    lane 1: b q · ·    lane 2: c r · ·
#pragma once

#include "strip.h"

namespace binarynet::training {

// `count` lanes from bit `first` on, a multiple of 16; ±1 of each row, 0 of one that is null.
void interleave_signs(Unit unit, const uint32_t* const* rows, size_t first, size_t count, uint32_t* lanes);
// Of numbers: whole ones if the unit is bytes, else rounded to the nearest.
void interleave(Unit unit, const float* const* rows, size_t count, uint32_t* lanes);
// Of bytes.
void interleave(const uint8_t* const* rows, size_t count, uint32_t* lanes);

// To bfloat16, to the nearest, ties to even.
void round_to_bfloat16(const float* x, const float* scale, size_t count, uint16_t* y);

}  // namespace binarynet::training
