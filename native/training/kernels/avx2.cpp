// compile (x86_64|AMD64): -mavx2 -mfma
//
// AVX2 with FMA (Haswell, Zen and later). A strip is 6 rows × 16 columns: 12 sums, 2 columns, 1 row of 16
// registers.
//
//     unit      a step and vector is                                        multiply-adds   operations
//     bits      vpxor, 2 vpshufb, 2 vpand, vpsrld, vpaddb, 2 to widen, vpaddd  256             10
//     bytes     vpmaddubsw, vpmaddwd, vpaddd                                   32              3
//      of ±1    vpmaddubsw, vpaddw; 2 more after 64 steps                      32              2
//     float32   vfmadd231ps                                                    8               1
//
// vpmaddubsw adds two products in 16 bits and saturates; 2 · 255 · 64 = 32640 fits (kMostRight).
#include <algorithm>

#include "avx2.h"

namespace binarynet::training {
namespace {

struct Bytes : Integers {
    static Sum dot(Sum sum, Word a, Word b) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
    }
};
// 2 · 255 of a step; 64 of them are 32640. Sums of 32 bits wait in memory meanwhile.
constexpr size_t kShortSteps = 64;

template <int kRows, int kVectors>
void multiply_signs(const Strip& s) {
    __m256i* const sums = static_cast<__m256i*>(s.sums);
    __m256i sum[kRows][kVectors] = {};  // of 16 bits, two beside each other for one of 32
    bool add = s.add;
    size_t taken = 0;
    const auto widen = [&] {
        BINARYNET_UNROLL
        for (int r = 0; r < kRows; ++r) {
            BINARYNET_UNROLL
            for (int v = 0; v < kVectors; ++v) {
                __m256i* const to = sums + r * kVectors + v;
                const __m256i wide = _mm256_madd_epi16(sum[r][v], _mm256_set1_epi16(1));
                _mm256_store_si256(to, add ? _mm256_add_epi32(_mm256_load_si256(to), wide) : wide);
                sum[r][v] = _mm256_setzero_si256();
            }
        }
        add = true;
        taken = 0;
    };
    for (size_t segment = 0; segment < s.segments; ++segment) {
        const uint8_t* left[kRows];
        BINARYNET_UNROLL
        for (int r = 0; r < kRows; ++r) left[r] = s.left[r] + s.left_at[segment];
        const uint8_t* right = s.right + s.right_at[segment];
        for (size_t step = 0, at = 0; step < s.steps;) {
            const size_t end = std::min(s.steps, step + kShortSteps - taken);
            taken += end - step;
            for (; step < end; ++step, at += s.left_step, right += s.right_step) {
                __m256i column[kVectors];
                BINARYNET_UNROLL
                for (int v = 0; v < kVectors; ++v)
                    column[v] = Integers::load(right + static_cast<size_t>(v) * sizeof(__m256i));
                BINARYNET_UNROLL
                for (int r = 0; r < kRows; ++r) {
                    const __m256i row = Integers::broadcast(left[r] + at);
                    BINARYNET_UNROLL
                    for (int v = 0; v < kVectors; ++v)
                        sum[r][v] = _mm256_add_epi16(sum[r][v], _mm256_maddubs_epi16(row, column[v]));
                }
            }
            if (taken == kShortSteps) widen();
        }
    }
    if (taken || !add) widen();
}

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
                            pack<true>,
                            nullptr,
                            multiply_signs<6, 2>};

}  // namespace binarynet::training
