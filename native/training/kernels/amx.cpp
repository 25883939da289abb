// compile (x86_64|AMD64):
//
// The matrix unit (Xeons from Sapphire Rapids on): tiles of 16 rows × 16 columns and 64 bytes of depth, which
// are bytes or bfloat16 (tiles.h). What it does not take, and packing, is AVX-512's, which all of them have.
//
//     unit       an instruction is     multiply-adds   cycles
//     bytes      tdpbusd, tdpbssd      16384           16
//     bfloat16   tdpbf16ps             8192            16
#include "training/products.h"
#include "training/strip.h"

namespace binarynet::training {

extern const Kernel avx512_kernel;

namespace {

bool runs() {
    return products_supported() && avx512_kernel.runs();
}
bool always() {
    return true;
}
bool signs(const float* x, size_t count, uint32_t* bits) {
    return avx512_kernel.signs(x, count, bits);
}
bool ones(const float* x, size_t count, uint32_t* bits) {
    return avx512_kernel.ones(x, count, bits);
}

}  // namespace

extern const Kernel amx_kernel;
const Kernel amx_kernel = {"amx",   runs,    32,     16,    nullptr, nullptr,
                           nullptr, nullptr, always, signs, ones,    &avx512_kernel};

}  // namespace binarynet::training
