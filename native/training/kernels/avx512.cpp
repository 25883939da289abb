// compile (x86_64|AMD64): -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512vpopcntdq -mavx512bf16
//
// AVX-512 with VNNI and VPOPCNTDQ (Ice Lake, Zen 4 and later); bfloat16 only where the CPU has it (Cooper
// Lake, Sapphire Rapids, Zen 4). A strip is 6 rows × 64 columns: 24 sums, 4 columns, 1 row of 32 registers.
//
//     unit       a step and vector is          multiply-adds   Zen 5, each cycle
//     bits       vpxord, vpopcntd, vpaddd      512             1.33 × 512: three operations on four ports
//     bytes      vpdpbusd                      64              2 × 64
//     bfloat16   vdpbf16ps                     32              2 × 32
//     float32    vfmadd231ps                   16              2 × 16
//
// A step loads 4 vectors and broadcasts 6 numbers for 24 of these, which two load ports deliver in 5 cycles
// of 12 (of 18 with bits).
#include <immintrin.h>

#include "tile.h"

namespace binarynet::training {
namespace {

struct Integers {
    using Word = __m512i;
    using Sum = __m512i;
    static Word load(const uint8_t* p) { return _mm512_loadu_si512(p); }
    static Word broadcast(const uint8_t* p) { return _mm512_set1_epi32(*reinterpret_cast<const int*>(p)); }
    static Sum zero() { return _mm512_setzero_si512(); }
    static Sum load_sum(const uint8_t* p) { return _mm512_load_si512(p); }
    static void store_sum(uint8_t* p, Sum sum) { _mm512_store_si512(p, sum); }
};
struct Reals {
    using Word = __m512i;
    using Sum = __m512;
    static Word load(const uint8_t* p) { return _mm512_loadu_si512(p); }
    static Word broadcast(const uint8_t* p) { return _mm512_set1_epi32(*reinterpret_cast<const int*>(p)); }
    static Sum zero() { return _mm512_setzero_ps(); }
    static Sum load_sum(const uint8_t* p) { return _mm512_load_ps(p); }
    static void store_sum(uint8_t* p, Sum sum) { _mm512_store_ps(p, sum); }
};
struct Bits : Integers {
    static Sum dot(Sum sum, Word a, Word b) {
        return _mm512_add_epi32(sum, _mm512_popcnt_epi32(_mm512_xor_si512(a, b)));
    }
};
struct Bytes : Integers {
    static Sum dot(Sum sum, Word a, Word b) { return _mm512_dpbusd_epi32(sum, a, b); }
};
struct Bfloat16 : Reals {
    static Sum dot(Sum sum, Word a, Word b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};
struct Float32 : Reals {
    static Sum dot(Sum sum, Word a, Word b) {
        return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
    }
};

template <bool kOnes>
bool pack(const float* x, size_t count, uint32_t* bits) {
    const __m512 one = _mm512_set1_ps(1.0f), zero = _mm512_setzero_ps();
    __mmask16 bad = 0;
    for (size_t i = 0; i < count; i += 32, ++bits) {
        uint32_t word = 0;
        for (size_t half = 0; half < 32 && i + half < count; half += 16) {
            const size_t left = count - i - half;
            const __mmask16 mask = left >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << left) - 1);
            const __m512 values = _mm512_maskz_loadu_ps(mask, x + i + half);
            bad |= kOnes ? _mm512_mask_cmp_ps_mask(mask, _mm512_abs_ps(values), one, _CMP_NEQ_UQ)
                         : _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
            word |= uint32_t{_mm512_mask_cmp_ps_mask(mask, values, zero, _CMP_GE_OQ)} << half;
        }
        *bits = word;
        if (kOnes && bad) return false;
    }
    return !bad;
}

bool runs() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq");
}
bool has_bfloat16() {
    return __builtin_cpu_supports("avx512bf16");
}

}  // namespace

extern const Kernel avx512_kernel;
const Kernel avx512_kernel = {"avx512",
                              runs,
                              6,
                              64,
                              multiply_strip<Bits, 6, 4>,
                              multiply_strip<Bytes, 6, 4>,
                              multiply_strip<Bfloat16, 6, 4>,
                              multiply_strip<Float32, 6, 4>,
                              has_bfloat16,
                              pack<false>,
                              pack<true>};

}  // namespace binarynet::training
