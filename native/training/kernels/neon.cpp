// compile (aarch64|arm64):
//
// NEON, which every AArch64 has. A strip is 6 rows × 16 columns: 24 sums, 4 columns, 1 row of 32 registers.
//
//     unit      a step and vector is                          multiply-adds
//     bits      eor, cnt, uaddlp, uadalp                      128
//     bytes     smull, smlal2 … of widened numbers, sadalp    16
//     float32   fmla                                          4
#include <arm_neon.h>

#include "tile.h"

namespace binarynet::training {
namespace {

struct Integers {
    using Word = uint8x16_t;
    using Sum = int32x4_t;
    static Word load(const uint8_t* p) { return vld1q_u8(p); }
    static Word broadcast(const uint8_t* p) {
        return vreinterpretq_u8_u32(vld1q_dup_u32(reinterpret_cast<const uint32_t*>(p)));
    }
    static Sum zero() { return vdupq_n_s32(0); }
    static Sum load_sum(const uint8_t* p) { return vld1q_s32(reinterpret_cast<const int32_t*>(p)); }
    static void store_sum(uint8_t* p, Sum sum) { vst1q_s32(reinterpret_cast<int32_t*>(p), sum); }
};
struct Bits : Integers {
    static Sum dot(Sum sum, Word a, Word b) {
        const uint16x8_t pairs = vpaddlq_u8(vcntq_u8(veorq_u8(a, b)));
        return vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum), pairs));
    }
};
struct Bytes : Integers {
    // u8 × s8 does not fit 16 bits with a second product beside it: pairs are added in 32.
    static Sum dot(Sum sum, Word a, Word b) {
        const int16x8_t a_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a)));
        const int16x8_t a_high = vreinterpretq_s16_u16(vmovl_high_u8(a));
        const int8x16_t s = vreinterpretq_s8_u8(b);
        const int16x8_t low = vmulq_s16(a_low, vmovl_s8(vget_low_s8(s)));
        const int16x8_t high = vmulq_s16(a_high, vmovl_high_s8(s));
        return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
    }
};
struct Float32 {
    using Word = float32x4_t;
    using Sum = float32x4_t;
    static Word load(const uint8_t* p) { return vld1q_f32(reinterpret_cast<const float*>(p)); }
    static Word broadcast(const uint8_t* p) { return vld1q_dup_f32(reinterpret_cast<const float*>(p)); }
    static Sum zero() { return vdupq_n_f32(0); }
    static Sum load_sum(const uint8_t* p) { return load(p); }
    static void store_sum(uint8_t* p, Sum sum) { vst1q_f32(reinterpret_cast<float*>(p), sum); }
    static Sum dot(Sum sum, Word a, Word b) { return vfmaq_f32(sum, a, b); }
};

template <bool kOnes>
bool pack(const float* x, size_t count, uint32_t* bits) {
    static const uint32_t kPlaces[4] = {1, 2, 4, 8};
    const uint32x4_t places = vld1q_u32(kPlaces);
    bool good = true;
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        uint32_t word = 0;
        uint32x4_t fine = vdupq_n_u32(~uint32_t{0});
        for (size_t part = 0; part < 32; part += 4) {
            const float32x4_t values = vld1q_f32(x + i + part);
            fine = vandq_u32(
                fine, kOnes ? vceqq_f32(vabsq_f32(values), vdupq_n_f32(1)) : vceqq_f32(values, values));
            word |= vaddvq_u32(vandq_u32(vcgezq_f32(values), places)) << part;
        }
        bits[i / 32] = word;
        good &= vminvq_u32(fine) != 0;
        if (kOnes && !good) return false;
    }
    if (i == count) return good;
    uint32_t word = 0;
    for (size_t n = i; n < count; ++n) {
        good &= kOnes ? x[n] == 1 || x[n] == -1 : x[n] == x[n];
        word |= uint32_t{x[n] >= 0} << (n - i);
    }
    bits[i / 32] = word;
    return good;
}

bool always() {
    return true;
}
bool never() {
    return false;
}

}  // namespace

extern const Kernel neon_kernel;
const Kernel neon_kernel = {"neon",
                            always,
                            6,
                            16,
                            multiply_strip<Bits, 6, 4>,
                            multiply_strip<Bytes, 6, 4>,
                            nullptr,
                            multiply_strip<Float32, 6, 4>,
                            never,
                            pack<false>,
                            pack<true>};

}  // namespace binarynet::training
