// compile (.*):
//
// Compiled for the base instruction set: it decides what may run.
#include "strip.h"

namespace binarynet::training {

extern const Kernel amx_kernel, avx512_kernel, avxvnni_kernel, avx2_kernel, neon_kernel, portable_kernel;

Kernels kernels() {
    static const Kernel* const all[] = {
#if defined(__x86_64__)
        &amx_kernel,      &avx512_kernel, &avxvnni_kernel, &avx2_kernel,
#elif defined(__aarch64__)
        &neon_kernel,
#endif
        &portable_kernel,
    };
    return {all, all + sizeof(all) / sizeof(all[0])};
}

const Kernel& best_kernel() {
    for (const Kernel* kernel : kernels())
        if (kernel->runs()) return *kernel;
    return portable_kernel;
}

}  // namespace binarynet::training
