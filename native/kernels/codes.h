// The contract of the kernels that look sums of codes up (contract.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet {

// Codes × ±1 by look-ups: a few codes of a row have so many sums over subsets of them, which stand in a
// table, and the bits of a channel's weights say which of them it needs. With s[r][c] = Σ_{bit i of w[c] is
// 1} code[r][i] and the sum of all codes,
//
//     d[r][c] = Σ_i code[r][i] · (bit i of w[c] ? 1 : −1) = 2 s − Σ_i code[r][i]
//
// and bits of values that do not exist are 0.
struct LookupShape {
    size_t channels = 0;  // of a panel, which is `units` units; 0: there are no such kernels
    size_t values = 0;    // of a unit: of each channel so many bits, the first value lowest
    size_t lane = 0;      // bytes of a channel that lie together, then those of the next channel
    size_t table = 0;     // bytes that a row needs for a unit

    size_t unit_bytes() const { return channels * unit_lanes() * lane; }
    size_t unit_lanes() const { return (values + 8 * lane - 1) / (8 * lane); }
};

struct Lookup {
    const uint8_t* rows;  // row r: rows + r · row_stride, `depth` codes of a byte
    size_t row_count, row_stride, depth;
    const uint8_t* panels;  // 64-byte aligned; panel p: panels + p · units · unit_bytes()
    size_t units;
    size_t panel_begin, panel_end;
    uint8_t* tables;  // 64-byte aligned memory, of kLookupRows rows `table` bytes of the shape for each unit
    const uint32_t* classes;  // as in Gemm
    const int32_t* terms;
    size_t term_stride;
};
constexpr size_t kLookupRows = 4;

// bit[r][c] = (d[r][c] ≥ terms[class of r][c]) ^ flip[c], whole panels.
struct LookupBits : Lookup {
    const uint8_t* flip;
    // Of rows of at most kShortLookup values, or null: (classes, 2, term_stride), where d ≥ t is s − ⌊all /
    // 2⌋ ≥ short_limits[class][all odd], with `all` the sum of the codes.
    const int16_t* short_limits;
    uint8_t* out;
    size_t out_stride;
};
constexpr size_t kShortLookup = 256;

// acc[r][c] = terms[class of r][c] + (d[r][c] << shift), modulo 2^32, of channels that exist.
struct LookupI32 : Lookup {
    int shift;
    size_t channels;
    int32_t* out;  // (row_count, out_stride)
    size_t out_stride;
};

}  // namespace binarynet
