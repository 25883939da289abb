// Compiled for the base instruction set: it runs before anything is known.
#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace binarynet {

#if defined(__x86_64__)

// Clang 14 knows no AMX in __builtin_cpu_supports. Intel SDM, volume 1, 13.3 and 18.3: CPUID leaf 7 has
// AMX-TILE and AMX-INT8 in bits 24 and 25 of EDX; bits 17 and 18 of XCR0 say whether the system saves tiles.
// Linux still keeps the 8 KB of tile registers from a process until it asks for them (arch_prctl(2)).
bool amx_permitted() {
#if defined(__linux__)
    static const bool permitted = [] {
        unsigned eax, ebx, ecx, edx;
        constexpr unsigned kXsaveEnabled = 1u << 27, kTileAndInt8 = 3u << 24, kTileState = 3u << 17;
        if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & kXsaveEnabled)) return false;
        if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
        if ((edx & kTileAndInt8) != kTileAndInt8) return false;
        unsigned low, high;
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if ((low & kTileState) != kTileState) return false;
        constexpr long kRequestPermission = 0x1023, kTileData = 18;
        return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    }();
    return permitted;
#else
    return false;
#endif
}

bool amx_has_bf16() {
    unsigned eax, ebx, ecx, edx;
    return amx_permitted() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && edx >> 22 & 1;
}

#elif defined(__aarch64__)

bool cpu_has_dotprod() {
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
    return true;  // every Mac with an Arm processor
#else
    return false;
#endif
}

#endif

}  // namespace binarynet
