// What AVX2 and AVX-VNNI share. Only for files compiled for AVX2.
#pragma once

#include <immintrin.h>

#include "tile.h"

namespace binarynet::training {
namespace {

struct Integers {
    using Word = __m256i;
    using Sum = __m256i;
    static Word load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
    static Word broadcast(const uint8_t* p) { return _mm256_set1_epi32(*reinterpret_cast<const int*>(p)); }
    static Sum zero() { return _mm256_setzero_si256(); }
    static Sum load_sum(const uint8_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
    static void store_sum(uint8_t* p, Sum sum) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), sum); }
};
struct Bits : Integers {
    static Sum dot(Sum sum, Word a, Word b) {
        const __m256i low = _mm256_set1_epi8(15);
        const __m256i counts =
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        const __m256i x = _mm256_xor_si256(a, b);
        const __m256i bytes =
            _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(x, low)),
                            _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi32(x, 4), low)));
        const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
};
struct Float32 {
    using Word = __m256;
    using Sum = __m256;
    static Word load(const uint8_t* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
    static Word broadcast(const uint8_t* p) { return _mm256_broadcast_ss(reinterpret_cast<const float*>(p)); }
    static Sum zero() { return _mm256_setzero_ps(); }
    static Sum load_sum(const uint8_t* p) { return _mm256_load_ps(reinterpret_cast<const float*>(p)); }
    static void store_sum(uint8_t* p, Sum sum) { _mm256_store_ps(reinterpret_cast<float*>(p), sum); }
    static Sum dot(Sum sum, Word a, Word b) { return _mm256_fmadd_ps(a, b, sum); }
};

template <bool kOnes>
bool pack(const float* x, size_t count, uint32_t* bits) {
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f), zero = _mm256_setzero_ps();
    bool good = true;
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        uint32_t word = 0, bad = 0;
        for (size_t part = 0; part < 32; part += 8) {
            const __m256 values = _mm256_loadu_ps(x + i + part);
            bad |= static_cast<uint32_t>(
                _mm256_movemask_ps(kOnes ? _mm256_cmp_ps(_mm256_andnot_ps(sign, values), one, _CMP_NEQ_UQ)
                                         : _mm256_cmp_ps(values, values, _CMP_UNORD_Q)));
            word |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(values, zero, _CMP_GE_OQ)))
                    << part;
        }
        bits[i / 32] = word;
        good &= !bad;
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

inline bool never() {
    return false;
}

}  // namespace
}  // namespace binarynet::training
