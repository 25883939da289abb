// compile (x86_64|AMD64): -mavx2 -mfma -mavxvnni
//
// AVX2 with AVX-VNNI (Alder Lake and later, Zen 5): bytes by one instruction where AVX2 takes three,
// vpdpbusd, 32 multiply-adds each. All else is avx2.cpp's.
#include <cpuid.h>

#include "avx2.h"

namespace binarynet::training {
namespace {

struct Bytes : Integers {
    static Sum dot(Sum sum, Word a, Word b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
};

bool runs() {
    // Intel SDM, CPUID leaf 7, sub-leaf 1: AVX-VNNI in bit 4 of EAX.
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && eax >> 4 & 1;
}

}  // namespace

extern const Kernel avxvnni_kernel;
const Kernel avxvnni_kernel = {"avxvnni",
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
