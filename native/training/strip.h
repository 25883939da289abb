// What the products of a training step ask of an instruction set: a *strip*, some rows × some columns of
// sums.
//
//     sums[r][c]  (= or +=)  Σ over segments, Σ over steps    left[r]  ·  right[c]
//
// A step takes 4 bytes of each row and 4 bytes of each column, and what is multiplied there depends on the
// unit:
//
//     unit       4 bytes hold                   a step adds
//     bits       32 signs                       the number of signs that differ           int32
//     bytes      4 numbers, u8 left, s8 right   their 4 products                          int32
//     bfloat16   2 numbers                      their 2 products                          float32
//     float32    1 number                       their product                             float32
//
// So there is one loop (kernels/tile.h) for all units, and one way to lay operands out. A segment is a tap of
// a convolution, or a line of pixels: what is read there lies somewhere else, and no window is ever copied.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet::training {

// The largest magnitude of a right operand's byte: two products with a left byte fit 16 bits.
constexpr int kMostRight = 64;

enum class Unit { kBits, kBytes, kBfloat16, kFloat32 };

constexpr size_t kMostRows = 8;  // of a strip

struct Strip {
    const uint8_t* left[kMostRows];  // of each row
    const uint8_t* right;
    const size_t *left_at, *right_at;  // (segments), bytes from these
    size_t segments, steps;            // steps of each segment
    size_t left_step, right_step;      // bytes from one step to the next
    bool add;                          // += the sums that are there
    void* sums;                        // (rows, columns) int32 or float32, 64-byte aligned
};

// One instruction set: a line of the table in choose.cpp, a file in kernels/.
struct Kernel {
    const char* name;
    bool (*runs)();        // on this CPU
    size_t rows, columns;  // of a strip
    void (*bits)(const Strip&);
    void (*bytes)(const Strip&);
    void (*bfloat16)(const Strip&);  // null: no instruction for it
    void (*float32)(const Strip&);
    bool (*has_bfloat16)();  // on this CPU
    // x → signs, 32 a word from bit 0 on, bit 1 is +1; bits beyond `count` are 0. False: x holds what
    // `signs` cannot sign (NaN), and for `ones` anything but +1 and −1.
    bool (*signs)(const float* x, size_t count, uint32_t* bits);
    bool (*ones)(const float* x, size_t count, uint32_t* bits);
    // Of a matrix unit, which has tiles in place of strips (tile_rows.cpp, tile_weights.cpp), for bytes and
    // bfloat16: what multiplies all else. Null: the strips above are all there is.
    const Kernel* other = nullptr;
    // Bytes whose right operands are 1, 0 or −1: more of them fit 16 bits. Null: as others.
    void (*bytes_of_signs)(const Strip&) = nullptr;

    // of_signs: are right operands of bytes 1, 0 or −1?
    auto strip(Unit unit, bool of_signs) const {
        return unit == Unit::kBits                                  ? bits
               : unit == Unit::kBytes && of_signs && bytes_of_signs ? bytes_of_signs
               : unit == Unit::kBytes                               ? bytes
               : unit == Unit::kFloat32                             ? float32
                                                                    : bfloat16;
    }
};

// All of this build, best first; those that do not run on this CPU, too.
struct Kernels {
    const Kernel* const* begin_;
    const Kernel* const* end_;
    const Kernel* const* begin() const { return begin_; }
    const Kernel* const* end() const { return end_; }
};
Kernels kernels();
const Kernel& best_kernel();

// How many numbers of a unit are in 4 bytes.
inline constexpr size_t numbers_in_step(Unit unit) {
    return unit == Unit::kBits ? 32 : unit == Unit::kBytes ? 4 : unit == Unit::kBfloat16 ? 2 : 1;
}

}  // namespace binarynet::training
