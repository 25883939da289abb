// Batch normalisation of a training step, alone or with the sign behind it. Numbers lie as (rows, channels):
// a row is a row of a batch, or a pixel of an image whose channels come last.
//
//     training   mean, variance of each channel;  z = x scale + shift,  scale = γ / sqrt(variance + ε),
//                shift = β − mean scale;  answer: z, or sign(z)
//     backward   h = g, behind a sign only where |z| ≤ window;  with r = 1 / sqrt(variance + ε), over all
//     rows
//                dβ = Σ h,  dγ = r Σ h (x − mean),  dx = scale (h − dβ / rows − (x − mean) r dγ / rows)
//
// A sign needs z for nothing but its comparison, so z is computed again and never stored: forward reads x
// twice and writes once, backward reads g and x twice and writes once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "strip.h"

namespace binarynet::training {

struct NormShape {
    size_t rows, channels;
};

// mean, variance (channels,): of each channel, the variance divided by rows.
void norm_statistics(const NormShape& shape, const float* x, float* mean, float* variance, int threads);

// x once more, for the backward pass: behind a product of ±1 it is integers, and 16 bits hold each of them.
struct Narrow {
    int16_t* to = nullptr;         // null: not wanted
    std::atomic<bool> fits{true};  // false: some x is no integer of 16 bits, and `to` is nothing
};

// y = x scale + shift, or its sign (+1 at 0, NaN stays).
void norm_forward(const NormShape& shape, const float* x, const float* scale, const float* shift, bool sign,
                  float* y, Narrow& narrow, int threads);

// The sign alone, as bits: (rows, words), 32 channels a word. False: a NaN has none, and bits are nothing.
bool norm_signs(const Kernel& kernel, const NormShape& shape, const float* x, const float* scale,
                const float* shift, uint32_t* bits, Narrow& narrow, int threads);

// x as it was, or narrow: one of the two is null.
struct NormInput {
    const float* numbers = nullptr;
    const int16_t* integers = nullptr;
};

// What tells the gradient that passes: all of it, or behind a sign what has |x scale + shift| ≤ window.
struct NormWindow {
    bool sign;
    float window;
    const float *scale, *shift;
};

// sum = Σ h, product = Σ h (x − mean), (channels,).
void norm_sums(const NormShape& shape, const float* g, const NormInput& x, const float* mean,
               const NormWindow& window, float* sum, float* product, int threads);

// dx = scale h + slope (x − mean) + level. It may be g itself.
void norm_gradient(const NormShape& shape, const float* g, const NormInput& x, const float* mean,
                   const NormWindow& window, const float* slope, const float* level, float* dx, int threads);

}  // namespace binarynet::training
