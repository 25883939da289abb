// The one packing convention, the same as src/binarynet/format/bits.py.
//
// Value i of a row is bit (i mod 64) of word (i div 64); bit 1 means +1; words are little-endian:
//
//     value   0 1 2 … 63 | 64 65 …           a row of 70 values = 2 words
//     word    ── word 0 ── | ── word 1 ──
//     bit     0 1 2 … 63 |  0  1  2 3 4 5 | 6 … 63: tail, always 0
//
// With the tail 0 on both sides, dot = depth − 2 · popcount(a ^ w) holds for every depth.
//
// All functions here have internal linkage: each translation unit keeps its own copy, compiled with its own
// flags.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet {
namespace {

constexpr size_t kWord = 64;

inline constexpr size_t words_for(size_t values) {
    return values / kWord + (values % kWord != 0);
}

// The lowest `count` bits, 0 ≤ count ≤ 64.
inline constexpr uint64_t low_bits(size_t count) {
    return count >= kWord ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

// `count` ≤ 64 bits that begin at bit `first` of a packed row. Reads only words that hold some of these bits.
inline uint64_t read_bits(const uint64_t* row, size_t first, size_t count) {
    const size_t word = first / kWord, shift = first % kWord;
    uint64_t bits = row[word] >> shift;
    if (shift + count > kWord) bits |= row[word + 1] << (kWord - shift);
    return bits & low_bits(count);
}

// The set bits of a word. Where the compiler may not use an instruction for it, its own way is a call.
inline size_t popcount(uint64_t bits) {
#if defined(__x86_64__) && !defined(__POPCNT__)
    bits -= bits >> 1 & 0x5555555555555555;
    bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
    return ((bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56;
#else
    return static_cast<size_t>(__builtin_popcountll(bits));
#endif
}

// The set bits among `count` that begin at bit `first`.
inline size_t popcount(const uint64_t* row, size_t first, size_t count) {
    size_t ones = 0;
    for (; count > kWord; first += kWord, count -= kWord) ones += popcount(read_bits(row, first, kWord));
    return ones + popcount(read_bits(row, first, count));
}

// Appends bits to a packed row, one store per word. finish() writes the last, partial word with its tail 0.
class BitWriter {
 public:
    explicit BitWriter(uint64_t* out) : out_(out) {}

    // The lowest `count` ≤ 64 bits of `bits`, whose higher bits are 0.
    void put(uint64_t bits, size_t count) {
        pending_ |= bits << fill_;
        const size_t end = fill_ + count;
        if (end < kWord) {
            fill_ = end;
            return;
        }
        *out_++ = pending_;
        pending_ = fill_ ? bits >> (kWord - fill_) : 0;
        fill_ = end - kWord;
    }

    // `count` bits of a packed row, from bit `first` on.
    void copy(const uint64_t* row, size_t first, size_t count) {
        for (; count > kWord; first += kWord, count -= kWord) put(read_bits(row, first, kWord), kWord);
        put(read_bits(row, first, count), count);
    }

    // `count` times the bit of `word`, which is all zeros or all ones.
    void fill(uint64_t word, size_t count) {
        for (; count > kWord; count -= kWord) put(word, kWord);
        put(word & low_bits(count), count);
    }

    void finish() {
        if (fill_) *out_ = pending_;
    }

 private:
    uint64_t* out_;
    uint64_t pending_ = 0;
    size_t fill_ = 0;
};

}  // namespace
}  // namespace binarynet
