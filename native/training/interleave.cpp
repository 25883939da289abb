// compile (.*): -fno-math-errno -fno-trapping-math
#include "interleave.h"

#include <algorithm>
#include <cstring>

#include "each_length.h"

namespace binarynet::training {

namespace {

constexpr size_t kLanes = 16;

inline __attribute__((always_inline)) uint32_t bfloat16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return x == x ? rounded : bits >> 16 | 0x40;  // NaN stays
}

// 16 signs of up to four rows. `there`: which bytes of a lane are.
EACH_LENGTH void signs_as_bytes(const uint32_t (&words)[4], uint32_t there, uint32_t* __restrict lanes) {
    const uint32_t a = words[0], b = words[1], c = words[2], d = words[3];
    for (uint32_t i = 0; i < kLanes; ++i) {
        const uint32_t positive = (a >> i & 1) | (b >> i & 1) << 8 | (c >> i & 1) << 16 | (d >> i & 1) << 24;
        // Per byte: 1, or 255 = −1.
        lanes[i] = (0xffffffff - positive * 0xfe) & there;
    }
}
EACH_LENGTH void signs_as_bfloat16(const uint32_t (&words)[4], uint32_t there, uint32_t* __restrict lanes) {
    const uint32_t a = ~words[0], b = ~words[1];
    for (uint32_t i = 0; i < kLanes; ++i)
        lanes[i] = (0x3f803f80 | (a >> i & 1) << 15 | (b >> i & 1) << 31) & there;
}
EACH_LENGTH void signs_as_float32(const uint32_t (&words)[4], uint32_t there, uint32_t* __restrict lanes) {
    const uint32_t a = ~words[0];
    for (uint32_t i = 0; i < kLanes; ++i) lanes[i] = (0x3f800000 | (a >> i & 1) << 31) & there;
}

EACH_LENGTH void bytes_of(const float* a, const float* b, const float* c, const float* d, size_t count,
                          uint32_t* __restrict lanes) {
    const auto byte = [](float x) { return static_cast<uint32_t>(static_cast<int32_t>(x)) & 0xff; };
    for (size_t i = 0; i < count; ++i)
        lanes[i] = byte(a[i]) | byte(b[i]) << 8 | byte(c[i]) << 16 | byte(d[i]) << 24;
}
EACH_LENGTH void bfloat16_of(const float* a, const float* b, size_t count, uint32_t* __restrict lanes) {
    for (size_t i = 0; i < count; ++i) lanes[i] = bfloat16(a[i]) | bfloat16(b[i]) << 16;
}
EACH_LENGTH void join(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, size_t count,
                      uint32_t* __restrict lanes) {
    for (size_t i = 0; i < count; ++i)
        lanes[i] = uint32_t{a[i]} | uint32_t{b[i]} << 8 | uint32_t{c[i]} << 16 | uint32_t{d[i]} << 24;
}

EACH_LENGTH void round_part(const float* x, const float* scale, size_t count, uint16_t* __restrict y) {
    if (scale)
        for (size_t i = 0; i < count; ++i) y[i] = static_cast<uint16_t>(bfloat16(x[i] * scale[i]));
    else
        for (size_t i = 0; i < count; ++i) y[i] = static_cast<uint16_t>(bfloat16(x[i]));
}

constexpr size_t kSome = 512;
const float kNoNumbers[kSome] = {};
const uint8_t kNoBytes[kSome] = {};

}  // namespace

void interleave_signs(Unit unit, const uint32_t* const* rows, size_t first, size_t count, uint32_t* lanes) {
    const size_t each = numbers_in_step(unit);
    const uint32_t part = unit == Unit::kBytes ? 0xff : unit == Unit::kBfloat16 ? 0xffff : 0xffffffff;
    uint32_t there = 0;
    for (size_t r = 0; r < each; ++r)
        if (rows[r]) there |= part << r * (32 / each);
    const auto rule = unit == Unit::kBytes      ? signs_as_bytes
                      : unit == Unit::kBfloat16 ? signs_as_bfloat16
                                                : signs_as_float32;
    for (size_t i = 0; i < count; i += kLanes, lanes += kLanes) {
        uint32_t words[4] = {};
        for (size_t r = 0; r < each; ++r)
            if (rows[r]) words[r] = rows[r][(first + i) / 32] >> (first + i) % 32;
        rule(words, there, lanes);
    }
}

void interleave(Unit unit, const float* const* rows, size_t count, uint32_t* lanes) {
    const size_t each = numbers_in_step(unit);
    for (size_t i = 0; i < count; i += kSome, lanes += kSome) {
        const size_t some = std::min(kSome, count - i);
        const float* row[4];
        for (size_t r = 0; r < each; ++r) row[r] = rows[r] ? rows[r] + i : kNoNumbers;
        if (unit == Unit::kBytes)
            bytes_of(row[0], row[1], row[2], row[3], some, lanes);
        else if (unit == Unit::kBfloat16)
            bfloat16_of(row[0], row[1], some, lanes);
        else
            std::memcpy(lanes, row[0], some * sizeof(float));
    }
}

void interleave(const uint8_t* const* rows, size_t count, uint32_t* lanes) {
    for (size_t i = 0; i < count; i += kSome, lanes += kSome) {
        const uint8_t* row[4];
        for (size_t r = 0; r < 4; ++r) row[r] = rows[r] ? rows[r] + i : kNoBytes;
        join(row[0], row[1], row[2], row[3], std::min(kSome, count - i), lanes);
    }
}

void round_to_bfloat16(const float* x, const float* scale, size_t count, uint16_t* y) {
    round_part(x, scale, count, y);
}

}  // namespace binarynet::training
