// The contract of the kernels that add words of bits: vertical and bitsliced (contract.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet {

// Vertical: products without popcount. Outputs lie side by side, one bit of a vector each, and weights are
// transposed: word i holds bit i of the weights of all outputs of a *block*, which is `vertical_bytes` of the
// table wide. Of a row, only the inputs whose bit is set are listed; their words are added up by full adders
// into counters, one vector for each binary digit. With c = the ones of w among m listed inputs,
//
//     acc = Σ ±1 · ±1 = 4 c − 2 m − Σ w                                  (docs/kernels.md)
//
// Rows come in pairs, in three lists: inputs set in both, in the first only, in the second only. So a word
// that both rows need is added once.
constexpr size_t kVerticalInputs = 512;  // of a chunk, at most
constexpr size_t kListUnit = 16;     // entries: a list is a multiple of them long, filled up with `inputs`
constexpr size_t kListSlack = 64;    // entries that may be written behind a list
constexpr int kVerticalPlanes = 10;  // digits of what a chunk counts to

// Three lists of the inputs of two rows, `words` words each, one list behind the other: input i as (first +
// i) · vertical_bytes / 8. begins: (4), where each list begins, and the end, counted from `origin`; counts:
// (3), without what fills up to a multiple of kListUnit, which is the entry `fill`; without a fill nothing
// does.
struct ListPair {
    const uint64_t *a, *b;
    uint64_t flip;       // of every word but the last: all ones to list the inputs that are not set
    uint64_t last_flip;  // of the last word
    size_t words, first;
    uint16_t *origin, *entries;
    uint32_t *begins, *counts;
    bool filled;
    uint16_t fill;
};

// Pairs [0, pairs) against blocks [block_begin, block_end). The depth is cut into chunks, whose words stay in
// L1 while the pairs pass: word i of chunk k of block b is at weights + b · block_bytes + offsets[k] + i ·
// vertical_bytes, and behind the last of a chunk stands a zero word, for which lists are filled up.
struct Vertical {
    size_t pairs, chunks;
    const uint16_t* entries;
    const uint32_t* begins;  // (pairs, chunks, 4)
    const uint8_t* weights;  // aligned to vertical_bytes
    size_t block_bytes;
    const size_t* offsets;  // (chunks), in bytes
    size_t block_begin, block_end;
    int planes;         // of a counter, at least kVerticalPlanes
    uint8_t* counters;  // (2 · pairs, planes, vertical_bytes), aligned; memory
    // (2 · pairs): what the counters begin with, in the lanes of part 0; null: 0.
    const uint32_t* starts;

    // Rows [0, rows) of the answer. Where there are fewer outputs than a block is wide, it holds 2 or 4
    // parts, each with the weights of other taps: part j of row r was counted for row first[r] + j of the
    // pairs.
    size_t rows, parts, used_parts;
    const uint32_t* first;    // (rows), in [0, 2 · pairs)
    const int32_t* listed;    // (rows): m
    const uint32_t* classes;  // (rows), or null
    bool negated;             // inputs that are not set were listed: of −acc
};

// bit[r][c] = (acc ≥ t) ^ flip. As acc and m depend on the row, c − m / 2 is compared: with a counter that
// starts at some middle − ⌊m / 2⌋, where it reaches the limit for even or for odd m.
struct VerticalBits : Vertical {
    const uint8_t* limits;  // (classes, negated, odd m, planes, limit_bytes), digit by digit
    const uint8_t* flip;    // (negated, limit_bytes); of what does not exist 0
    size_t limit_bytes;     // blocks · vertical_bytes / parts
    uint8_t* out;
    size_t out_stride, out_bytes;  // of a row; bytes of it that there are
};

// acc[r][c] = ±(4 c − 2 m + bases[class][c]), for the channels that exist.
struct VerticalI32 : Vertical {
    const int32_t* bases;  // (classes, base_stride): −Σ w
    size_t base_stride, channels;
    int32_t* out;
    size_t out_stride;
    bool stream;  // past the caches, if the kernel can
};

// Strings of bits, moved by `down` < 64: bit i of string k of out, `words` words each, is bit i + down of
// string k of `strings`, or where the mask's bit is 0 that of `outside`. Of each string words + 1 words are
// there, and a vector behind the last may be read.
struct Slide {
    const uint64_t* strings;  // (channels, stride)
    size_t channels, stride, words, down;
    const uint64_t* mask;
    uint64_t outside;  // all ones or 0
    uint8_t* out;      // (channels, words)
};

// Entries [begin, end) of words at `offset`.
struct SlicedList {
    uint32_t begin, end;
    size_t offset;
};
constexpr size_t kSlicedCount = 1023, kSlicedPairs = 64;

// Bitsliced: the vertical products turned round. Rows lie side by side, one bit of a vector each: a *lane*; a
// word holds one input of as many rows, and the weights are what is listed, once and for all. Outputs come in
// pairs, whose three lists say where words stand, in bytes from offsets[chunk]. With c = the listed inputs
// that are set and m = all that are set,
//
//     bit[lane][output] = (2 c − m ≥ u[class of the lane][output]) ^ flip                (docs/kernels.md)
struct Sliced {
    size_t pairs, chunks;
    const uint16_t* entries;
    const uint32_t* begins;  // (pairs, chunks, 4)
    const uint8_t* inputs;
    const size_t* offsets;  // (chunks)
    // Lists of all inputs, each of at most kSlicedCount.
    const SlicedList* all;
    size_t all_count;
    int planes;         // digits of 2 c − m − u in two's complement, at least kVerticalPlanes + 2
    uint8_t* counters;  // (2 · kSlicedPairs, planes, vertical_bytes): memory
    // Lanes of the classes, four classes to a group: (groups, 16, vertical_bytes), entry n those of the
    // classes that are the bits of n. starts: (outputs, planes, groups), digit by digit of −u, which of the
    // four classes have it set.
    size_t groups;
    const uint8_t *classes, *starts;
    const uint8_t* flip;  // (outputs): 0 or 255
    uint8_t* out;         // (outputs, vertical_bytes)
};

}  // namespace binarynet
