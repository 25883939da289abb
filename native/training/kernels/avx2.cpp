// compile (x86_64|AMD64): -mavx2 -mfma
//
// AVX2 with FMA (Haswell, Zen and later). A strip is 6 rows × 16 columns: 12 sums, 2 columns, 1 row of 16
// registers.
//
//     unit      a step and vector is                                        multiply-adds   operations
//     bits      vpxor, 2 vpshufb, 2 vpand, vpsrld, vpaddb, 2 to widen, vpaddd  256             10
//     bytes     vpmaddubsw, vpmaddwd, vpaddd                                   32              3
//     float32   vfmadd231ps                                                    8               1
//
// vpmaddubsw adds two products in 16 bits and saturates; 2 · 255 · 64 = 32640 fits (kMostRight).
#include "avx2.h"

namespace binarynet::training {
namespace {

struct Bytes : Integers {
    static Sum dot(Sum sum, Word a, Word b) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
    }
};
bool runs() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
}  // namespace

extern const Kernel avx2_kernel;
const Kernel avx2_kernel = {"avx2",
                            runs,
                            6,
                            16,
                            multiply_strip<Bits, 6, 2>,
                            multiply_strip<Bytes, 6, 2>,
                            nullptr,
                            multiply_strip<Float32, 6, 2>,
                            never,
                            pack<false>,
                            pack<true>};

}  // namespace binarynet::training
