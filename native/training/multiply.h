// The three products of a binary layer, of every geometry, on the strips of one instruction set.
//
//     forward                   y[n, p, f]  = Σ_tap Σ_c  x[n, p + tap, c] w[f, tap, c]       integers, exact
//     gradient of the input     dx[n, p, c] = Σ_tap Σ_f  g[n, p − tap, f] w[f, tap, c]
//     gradient of the weights   dw[f, c, tap] = Σ_n Σ_p  g[n, p, f] x[n, p + tap, c]
//
// Weights and, in most layers, x are small integers. A real gradient enters a product as the unit has it:
//
//     float32    as it is
//     bfloat16   rounded to 8 significant bits, to the nearest
//     bytes      rounded at random to one of `levels` + 1 steps from −m to m, without bias (Gupta et al.
//     2015;
//                DoReFa-Net, arXiv 1606.06160): m is the largest |g| of the image in the gradient of the
//                input, and of the filter in that of the weights. Sums are then integers, exact in any order.
//
// Every result is the work of one task in a fixed order: it does not depend on the number of threads.
#pragma once

#include "codes.h"

namespace binarynet::training {

struct Weights {
    Form form;            // bits or bytes
    const void* numbers;  // codes.h
    const float* scales;  // (filters,)
};

struct Input {
    Codes codes;
    const void* numbers;  // codes.h; real: float32 (image, y, x, channel)
};

// How a gradient is rounded. `levels`: 254 for the 255 steps of a byte with 0 among them, 2^k − 1 for k bits.
struct Rounding {
    Unit unit;
    int levels;
    uint64_t seed;
    const float *images, *filters;  // of bytes: gradient_ranges()
};

// m: the largest |g| of each image, of g times `scales` of the filters (or alone: null), and of each filter,
// of g alone. False: one is not finite; there is no such code.
bool gradient_ranges(const Geometry& g, const float* gradient, const float* scales, float* images,
                     float* filters, int threads);

// What multiplies: `kernel`, or the one that takes what it does not. Signs meet tiles as bytes.
enum class Product { kForward, kInputGradient, kWeightGradient };
const Kernel& multiplier(const Kernel& kernel, const Geometry& g, Product product, Unit unit);

#if defined(__x86_64__)
// Whether signs of this geometry have the quicker way of products.h on `kernel`, as `shape`.
struct ConvShape;
bool as_bands(const Kernel& kernel, const Geometry& g, ConvShape& shape);
#endif

// y (images, y, x, filters). x: bits or bytes. Both bits: popcount; else products of bytes.
void forward(const Kernel& kernel, const Geometry& g, const Input& x, const Weights& w, float* y,
             int threads);

// dx (images, y, x, channels).
void input_gradient(const Kernel& kernel, const Geometry& g, const Rounding& rounding, const float* gradient,
                    const Weights& w, float* dx, int threads);

// dw (filters, channels, tap y, tap x). Bytes: x.codes.most ≤ kMostRight, and weight_gradient_fits().
void weight_gradient(const Kernel& kernel, const Geometry& g, const Rounding& rounding, const float* gradient,
                     const Input& x, float* dw, int threads);
// Whether the sums of bytes stay below 2^31.
bool weight_gradient_fits(const Geometry& g, int most);

}  // namespace binarynet::training
