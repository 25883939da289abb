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

#include "base/threads.h"
#include "draws.h"
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
        w[i] = clamped(s.keep * w[i] - s.rate * m[i] / (std::sqrt(v[i]) / s.deviation + s.eps), s.clip);
    }
}

EACH_LENGTH void sgd_part(float* __restrict w, const float* __restrict g, size_t count, SgdStep s) {
    for (size_t i = 0; i < count; ++i) w[i] = clamped(w[i] - s.rate * (g[i] + s.decay * w[i]), s.clip);
}

EACH_LENGTH void momentum_part(float* __restrict w, const float* __restrict g, float* __restrict m,
                               size_t count, SgdStep s) {
    const float ahead = s.nesterov ? s.momentum : 1.0f, own = s.nesterov ? 1.0f : 0.0f;
    for (size_t i = 0; i < count; ++i) {
        const float slope = g[i] + s.decay * w[i];
        m[i] = s.momentum * m[i] + s.gain * slope;
        w[i] = clamped(w[i] - s.rate * (own * slope + ahead * m[i]), s.clip);
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

EACH_LENGTH void hat_part(const float* __restrict g, const float* __restrict x, float* __restrict dx,
                          size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const float slope = 2 - 2 * std::fabs(x[i]);
        dx[i] = g[i] * (slope < 0 ? 0 : slope);  // NaN stays
    }
}

// Numbers of a block, which is a whole number of draws: each is for two numbers.
constexpr size_t kDropped = 256;

EACH_LENGTH void dropout_block(const float* __restrict x, const uint32_t* __restrict draws, uint32_t below,
                               float scale, float* __restrict y, size_t count) {
    for (size_t i = 0; i < count; ++i) y[i] = draws[i] < below ? 0.0f : x[i] * scale;
}

}  // namespace

void adam(float* w, const float* g, float* m, float* v, size_t count, const AdamStep& step, int threads) {
    in_parts(count, threads, [&](size_t i, size_t n) { adam_part(w + i, g + i, m + i, v + i, n, step); });
}

void sgd(float* w, const float* g, float* m, size_t count, const SgdStep& step, int threads) {
    in_parts(count, threads, [&](size_t i, size_t n) {
        if (m)
            momentum_part(w + i, g + i, m + i, n, step);
        else
            sgd_part(w + i, g + i, n, step);
    });
}

void hat_gradient(const float* g, const float* x, float* dx, size_t count, int threads) {
    in_parts(count, threads, [&](size_t i, size_t n) { hat_part(g + i, x + i, dx + i, n); });
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

void dropout(const float* x, uint64_t seed, uint32_t below, float scale, float* y, size_t count,
             int threads) {
    static_assert(kPart % kDropped == 0, "a part is whole blocks");
    in_parts(count, threads, [&](size_t part, size_t n) {
        for (size_t i = part; i < part + n; i += kDropped) {
            uint64_t draws[kDropped / 2];
            uint32_t halves[kDropped];
            draw(draw_state(seed, i / 2), draws, kDropped / 2);
            std::memcpy(halves, draws, sizeof(halves));
            dropout_block(x + i, halves, below, scale, y + i, std::min(kDropped, part + n - i));
        }
    });
}

}  // namespace binarynet::training
