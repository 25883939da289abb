// What a training step does to every number of a tensor, in one pass over memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace binarynet::training {

// The factors of one step; `clip` is infinity where there is none. A parameter is stepped, then clamped.
struct AdamStep {
    float gain1, beta2, gain2, eps;  // gain = 1 − β, rounded once
    float rate;                      // lr / (1 − β1^t)
    float deviation;                 // sqrt(1 − β2^t)
    float clip;
    float keep = 1;  // 1 − lr · decay: the weight's share that stays, before the step (AdamW)
};
// w ← keep w;  m ← m + gain1 (g − m);  v ← β2 v + gain2 g²;  w ← clamp(w − rate m / (sqrt(v) / deviation +
// ε))
void adam(float* w, const float* g, float* m, float* v, size_t count, const AdamStep& step, int threads);

struct SgdStep {
    float momentum, gain;  // gain = 1 − dampening; 1 in the first step, when m is g
    float decay;           // of the weights, added to the gradient
    float rate;
    float clip;
    bool nesterov;
};
// g ← g + decay w;  m ← momentum m + gain g;  w ← clamp(w − rate m), or with Nesterov − rate (g + momentum
// m). `m` null: without momentum, w ← clamp(w − rate g).
void sgd(float* w, const float* g, float* m, size_t count, const SgdStep& step, int threads);

struct ShiftAdaMaxStep {
    float gain1, beta2, eps;
    float rate;  // times ± a power of two
    bool nearest;
    float clip;
};
// m as above;  v ← max(β2 v, |g|);  w ← clamp(w − rate m / AP2(v + ε))
void shift_adamax(float* w, const float* g, float* m, float* v, size_t count, const ShiftAdaMaxStep& step,
                  int threads);

// y = +1 where x ≥ 0, −1 where x < 0, NaN where x is NaN.
void sign(const float* x, float* y, size_t count, int threads);
// dx = g where |x| ≤ window, 0 elsewhere.
void window_gradient(const float* g, const float* x, float window, float* dx, size_t count, int threads);

// dx = g (2 − 2 |x|) where |x| ≤ 1, 0 elsewhere.
void hat_gradient(const float* g, const float* x, float* dx, size_t count, int threads);

// y = scale · x for the numbers that are kept, 0 for the others; `below` of 2^32 are dropped. Which ones
// follows from `seed` and their index alone: the gradient is the same call on g, and no mask is stored.
void dropout(const float* x, uint64_t seed, uint32_t below, float scale, float* y, size_t count, int threads);

}  // namespace binarynet::training
