// The contract of every kernel: one table of functions per instruction set.
//
// Weighted popcount. Operand a holds P bit planes; plane n counts 2^n. Operand w holds one. For one row r and
// one output channel c, all kernels compute the same integer
//
//     S[r][c] = Σ_n 2^n · popcount(a[r].plane[n] ^ w[c])            0 ≤ S ≤ (2^P − 1) · depth < 2^31
//
// and everything else follows from it:
//
//     ±1 × ±1                acc = depth − 2 S                       (P = 1)
//     P-digit bipolar × ±1   acc = (2^P − 1) · depth − 2 S           a raw byte as 2x − 255: P = 8
//     P-bit unsigned × ±1    acc = (2^P − 1) · popcount(w[c]) − S
//     acc ≥ t                S ≤ limit                               the comparison that replaces BatchNorm
//     and sign
//
// Weights of several bits are several such operands, one after the other (native/product/planes.h).
//
// Zero padding of a convolution: a tap outside the image is gathered as zero words, so it adds (2^P − 1) ·
// popcount(w tap) to S and is taken out again by a term that depends on which taps are outside: the row's
// `class`. Hence limits and bases are per class and channel.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codes.h"
#include "prices.h"
#include "words.h"

// Before a loop over the rows or panels of a register block: without it the sums live in memory, not in
// registers.
#if defined(__clang__)
#define BINARYNET_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BINARYNET_UNROLL _Pragma("GCC unroll 16")
#endif

namespace binarynet {

// How a kernel wants its weights: panels of `channels` output channels, interleaved every `bytes` bytes of
// depth, so that lane j of a vector belongs to channel j of the panel and no sum ever runs across lanes:
//
//     unit k of a panel:   channel 0, bytes [k·b, k·b + b) | channel 1, the same bytes | … | channel c − 1
//
// A panel is `units` units; panels follow one another. Channels that do not exist are zero.
struct PanelShape {
    size_t channels;  // a multiple of 8
    size_t bytes;     // 1, 2, 4 or 8
};

// Rows [0, row_count) of a against panels [panel_begin, panel_end) of w. `channels` padded up to whole panels
// is written channels' below.
struct Gemm {
    const uint64_t* rows;  // row r, plane n: rows + r · row_stride + n · words, `words` words
    size_t row_count;
    size_t row_stride;  // in words, ≥ planes · words
    // Where the table says `segments`, and P = 1: row r in pieces where they lie, piece s at starts[r] + s ·
    // segment_stride, each with as many units. Else null.
    const uint64_t* const* starts;
    size_t segments, segment_stride;
    size_t words;
    int planes;             // P, 1 … 8
    const uint8_t* panels;  // 64-byte aligned; panel p: panels + p · units · shape.channels · shape.bytes
    size_t units;           // units · shape.bytes ≤ 8 · words
    size_t panel_begin, panel_end;
    // A hint: the last panels first. A network's runs take turns, because what one of them met last is what
    // the caches still hold when the next begins.
    bool downwards;
    bool tiles;               // on the matrix unit, for 64 · words ≤ tile_depth; else by popcount
    const uint32_t* classes;  // (row_count), or null: every row is of class 0
    const int32_t* terms;     // (classes, term_stride), term_stride ≥ channels'
    size_t term_stride;
};

// bit[r][c] = (S[r][c] ≤ terms[class of r][c]) ^ flip[c], one byte per 8 channels. Only the bytes of the
// given panels are written. A channel that does not exist has limit −1 and flip 0, hence bit 0: the tail of a
// row stays 0.
struct GemmBits : Gemm {
    const uint8_t* flip;  // (channels' / 8)
    uint8_t* out;         // channel 8 j of row r: byte out[r · out_stride + j]
    size_t out_stride;
};

// acc[r][c] = terms[class of r][c] − (S[r][c] << shift), modulo 2^32, for the channels of the given panels
// that exist.
struct GemmI32 : Gemm {
    int shift;        // 1 for bipolar, 0 for unsigned codes
    size_t channels;  // that exist
    int32_t* out;     // (row_count, out_stride)
    size_t out_stride;
    bool stream;  // past the caches, if the kernel can: out is large, and nobody reads it soon
};

// Rows that are bytes already, one a value, for a matrix unit that reads them where they lie. A step is 64
// values of depth; a tile is `height` rows. Step k of row i of a tile is the 64 bytes at
//
//     tile + offsets[k] + i · stride
//
// so that windows of a convolution that overlap can share their bytes. In a Gemm over strips, `rows`,
// `row_count`, `row_stride` and `words` mean nothing.
struct Strip {
    const uint8_t* tiles[2];  // the second may be the first again, if `count` ≤ height
    size_t row;               // of the first, in outputs and classes
    size_t count;             // rows that exist; what stands in the others may be anything
};

struct Strips {
    Strip* strips;
    size_t count;
    const size_t* offsets;  // (steps)
    size_t height;          // of a tile, 1 … 16
    size_t stride;
};

// Pixels → bytes for such tiles: step k of pixel i at out + k · step_stride + i · 64, in the kernel's order.
struct Pixels {
    const uint8_t* from;
    size_t stride;  // from pixel to pixel, in bytes
    size_t count;
    size_t values;  // of a pixel; bytes of the last step that have none are 0
    bool bits;      // packed, else one byte a value
    uint8_t* out;   // 64-byte aligned
    size_t step_stride;
};

// Real rows. w[c] is a packed row again, and its bits stand for two numbers:
//
//     sum[r][c] = Σ_i x[r][i] · (bit i of w[c] ? one : zero)                                  in float32
//
// ±1 for b1; 0 and 1, or 0 and −1, for a plane of ternary or unsigned weights. Weights stay packed: four
// values of x give a table of the 16 sums that their four bits can ask for, and one look-up with four bits of
// a weight replaces four multiplications and three additions. The order of the additions is the instruction
// set's own.
struct GemmSelect {
    const float* rows;  // (row_count, row_stride ≥ depth)
    size_t row_count, row_stride, depth;
    const uint8_t* panels;  // as in Gemm
    size_t units;
    size_t panel_begin, panel_end;
    float zero, one;
    size_t channels;  // that exist
    bool add;         // to what is in out
    float* out;       // (row_count, out_stride)
    size_t out_stride;
};

// Real rows × weights that are numbers: sum[r][c] = Σ_i x[r][i] · w[c][i] in float32. A panel is 16 channels,
// whatever the instruction set: `depth` groups of 16 numbers, missing channels 0.
constexpr size_t kRealLanes = 16;

template <typename W>  // float or int8_t
struct GemmReal {
    const float* rows;  // (row_count, row_stride ≥ depth)
    size_t row_count, row_stride, depth;
    const W* panels;  // 64-byte aligned
    size_t panel_begin, panel_end;
    size_t channels;  // that exist
    float* out;       // (row_count, out_stride)
    size_t out_stride;
};

// Real pixels × one number a channel and tap, for `count` neighbouring positions:
//
//     out[i][c] = Σ_t (taps[t] + i · steps[t])[c] · weights[t][c]
//
// in float32, tap after tap, each product rounded before it is added: the same on every instruction set.
struct DepthwiseReals {
    const float* const* taps;  // (count_taps): the pixel of the first position; of padding the same for all
    const size_t* steps;       // (count_taps): floats to that of the next one
    size_t count_taps, count, channels;
    const float* weights;  // (count_taps, channels)
    float* out;            // (count, channels)
};

// A threshold of several levels: codes[c] = how many l < levels have x[c] ≥ t[l · stride + c], counted the
// other way round (levels − that) where falling[c] is 255; else it is 0. Levels ascend.
template <typename T>
struct Levels {
    const T* x;  // (channels)
    const T* t;  // (levels, stride)
    size_t levels, stride;
    const uint8_t* falling;  // (channels)
    size_t channels;
    uint8_t* codes;  // (channels)
};

// What a file of native/kernels defines, as <name>_kernels. What it leaves out is that of the next line of
// kernels.inc that the CPU supports.
struct KernelTable {
    PanelShape panel;
    void (*gemm_bits)(const GemmBits&);
    void (*gemm_i32)(const GemmI32&);
    // codes (count) of `planes` bits → planes: plane n at out + n · words, words = words_for(count), tails 0.
    void (*split)(const uint8_t* codes, size_t count, int planes, uint64_t* out, size_t words) = nullptr;
    // bit c = (x[c] ≥ t[c]) ^ flip bit c → words_for(channels) words. The tail of flip is 0, and so is that
    // of out.
    void (*threshold_i32)(const int32_t* x, const int32_t* t, const uint64_t* flip, size_t channels,
                          uint64_t* out) = nullptr;
    void (*threshold_f32)(const float* x, const float* t, const uint64_t* flip, size_t channels,
                          uint64_t* out) = nullptr;
    void (*levels_i32)(const Levels<int32_t>&) = nullptr;
    void (*levels_f32)(const Levels<float>&) = nullptr;
    void (*gemm_select)(const GemmSelect&) = nullptr;  // for panels of the shape above
    void (*gemm_real_f32)(const GemmReal<float>&) = nullptr;
    void (*gemm_real_i8)(const GemmReal<int8_t>&) = nullptr;
    void (*depthwise_reals)(const DepthwiseReals&) = nullptr;
    // Matrix units only, all three or none, never that of the next line.
    void (*expand)(const Pixels&) = nullptr;
    void (*strips_bits)(const GemmBits&, const Strips&) = nullptr;
    void (*strips_i32)(const GemmI32&, const Strips&) = nullptr;
    // Vertical, for panels of its own.
    void (*list_pair)(const ListPair&) = nullptr;
    void (*vertical_bits)(const VerticalBits&) = nullptr;
    void (*vertical_i32)(const VerticalI32&) = nullptr;
    size_t vertical_bytes = 0;
    // Bitsliced, with words as wide; and bit j of row i → bit i of row j, 64 × 64.
    void (*sliced_bits)(const Sliced&) = nullptr;
    void (*transpose)(const uint64_t* from, uint64_t* to) = nullptr;
    void (*slide)(const Slide&) = nullptr;
    // Codes by look-ups, for panels of its own; not everywhere.
    void (*lookup_bits)(const LookupBits&) = nullptr;
    void (*lookup_i32)(const LookupI32&) = nullptr;
    LookupShape lookup = {};
    bool segments = false;  // rows in pieces, for popcount
    size_t tile_depth = 0;  // values of the longest row that the matrix unit takes; 0: there is none
    const Prices* prices = nullptr;
    const Prices* intel_prices = nullptr;  // instead, where the processor is Intel's
    // Units of native/bench/peaks.h that the products run on, for benchmarks.
    const char *popcount_unit = nullptr, *vertical_unit = nullptr, *tile_unit = nullptr;
};

// The same with what kernels.inc says about it.
struct Kernels : KernelTable {
    const char* name;     // as in BINARYNET_ISA
    const char* title;    // for people
    bool (*supported)();  // by this CPU and its operating system
};

}  // namespace binarynet
