// compile (.*):
//
// Compiled for the base instruction set: it decides whether the files beside it may run.
#include "base/cpu.h"
#include "products.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace binarynet::training {

bool products_supported() {
#if defined(__x86_64__)
    // Intel SDM, CPUID leaf 7: AMX-BF16 and AMX-INT8 in bits 22 and 25 of EDX, AVX512-BF16 in bit 5 of EAX of
    // sub-leaf 1.
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx & 1u << 22) || !(edx & 1u << 25))
        return false;
    if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || !(eax & 1u << 5)) return false;
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2") && amx_permitted();
#else
    return false;
#endif
}

}  // namespace binarynet::training
