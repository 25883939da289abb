// compile (.*): -fno-math-errno -fno-trapping-math
//
// Plain loops, compiled once for each vector length. All are bound by memory: Adam reads and writes 28 bytes
// a number and computes in their shadow. No product is contracted with a sum, so every length gives the same
// bits.
#include "steps.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../threads.h"
#include "each_length.h"

namespace binarynet::training {

namespace {

constexpr size_t kPart = 1 << 15;  // numbers of a task

template <class Body>
void in_parts(size_t count, int threads, Body&& body) {
    parallel_for((count + kPart - 1) / kPart, threads,
                 [&](size_t part, int) { body(part * kPart, std::min(count - part * kPart, kPart)); });
}

inline float clamped(float x, float limit) {
    x = x < -limit ? -limit : x;  // NaN stays
    return x > limit ? limit : x;
}

EACH_LENGTH void adam_part(float* __restrict w, const float* __restrict g, float* __restrict m,
                           float* __restrict v, size_t count, AdamStep s) {
    for (size_t i = 0; i < count; ++i) {
        m[i] = m[i] + s.gain1 * (g[i] - m[i]);
        v[i] = s.beta2 * v[i] + s.gain2 * (g[i] * g[i]);
        w[i] = clamped(w[i] - s.rate * m[i] / (std::sqrt(v[i]) / s.deviation + s.eps), s.clip);
    }
}

EACH_LENGTH void shift_adamax_part(float* __restrict w, const float* __restrict g, float* __restrict m,
                                   float* __restrict v, size_t count, ShiftAdaMaxStep s) {
    const int32_t carry = s.nearest ? 0x800000 - 0x3504f4 : 0;
    for (size_t i = 0; i < count; ++i) {
        m[i] = m[i] + s.gain1 * (g[i] - m[i]);
        const float decayed = s.beta2 * v[i], size = std::fabs(g[i]);
        v[i] = size <= decayed ? decayed : size;  // NaN of g
        // Without its fraction a positive float is a power of two; what is to be rounded up carries over. The
        // largest powers become infinity, and NaN stays, since this is added.
        const float norm = v[i] + s.eps;
        int32_t bits;
        std::memcpy(&bits, &norm, 4);
        bits = (bits + carry) & -0x800000;
        float power;
        std::memcpy(&power, &bits, 4);
        power = norm == norm ? power : norm;
        w[i] = clamped(w[i] - s.rate * m[i] / power, s.clip);
    }
}

EACH_LENGTH void sign_part(const float* __restrict x, float* __restrict y, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const float side = x[i] >= 0 ? 1.0f : -1.0f;
        y[i] = x[i] == x[i] ? side : x[i];
    }
}

EACH_LENGTH void window_part(const float* __restrict g, const float* __restrict x, float window,
                             float* __restrict dx, size_t count) {
    for (size_t i = 0; i < count; ++i) dx[i] = std::fabs(x[i]) <= window ? g[i] : 0.0f;
}

}  // namespace

void adam(float* w, const float* g, float* m, float* v, size_t count, const AdamStep& step, int threads) {
    in_parts(count, threads, [&](size_t i, size_t n) { adam_part(w + i, g + i, m + i, v + i, n, step); });
}

void shift_adamax(float* w, const float* g, float* m, float* v, size_t count, const ShiftAdaMaxStep& step,
                  int threads) {
    in_parts(count, threads,
             [&](size_t i, size_t n) { shift_adamax_part(w + i, g + i, m + i, v + i, n, step); });
}

void sign(const float* x, float* y, size_t count, int threads) {
    in_parts(count, threads, [&](size_t i, size_t n) { sign_part(x + i, y + i, n); });
}

void window_gradient(const float* g, const float* x, float window, float* dx, size_t count, int threads) {
    in_parts(count, threads, [&](size_t i, size_t n) { window_part(g + i, x + i, window, dx + i, n); });
}

}  // namespace binarynet::training
