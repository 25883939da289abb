// The functions of Apply, step by step as in src/binarynet/graph/functions.py, which says what each of them
// is: every operation rounds to float32 by itself (-ffp-contract=off), so that all engines make the same
// bits. `elements`: as many additions of a number it takes as long as, measured beside a ReLU in one run
// (fastest of 40, AMD EPYC Zen 5, one thread, a busy machine); sqrt and reciprocal beside sigmoid (fastest of
// 40, Intel Xeon with AMX, one thread).
#pragma once

#include <stdint.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace binarynet {
namespace {

inline float power_of_two(int32_t n) {
    const int32_t bits = (n + 127) << 23;
    float made;
    std::memcpy(&made, &bits, sizeof made);
    return made;
}

inline float exponential(float given) {
    float x = given >= 88.0f ? 88.0f : given;
    x = x >= -87.0f ? x : -87.0f;
    const float whole = x * 1.44269504f + 0.5f;
    int32_t n = static_cast<int32_t>(whole);
    n -= static_cast<float>(n) > whole;  // floor, without a call
    const float count = static_cast<float>(n);
    float r = x + count * -0.693359375f;
    r = r + count * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const float made = (p * (r * r) + r + 1.0f) * power_of_two(n);
    return given >= 88.0f ? std::numeric_limits<float>::infinity() : made;
}

inline float size_of(float x) {
    return x >= 0.0f ? x : x * -1.0f;
}

// What is no number stays none.
inline float or_nan(float x, float made) {
    return x >= -std::numeric_limits<float>::infinity() ? made : x;
}

// Within a unit of the last place; 0 of what is below 2^-126, no number of what is below 0.
inline float root(float x) {
    float small = x >= 1.0f ? 1.0f : 0x1p-63f;
    float a = x >= 1.0f ? x : x * 0x1p126f;
    const float least[] = {0x1p64f, 0x1p32f, 0x1p16f, 0x1p8f, 0x1p4f, 0x1p2f};
    const float more[] = {0x1p32f, 0x1p16f, 0x1p8f, 0x1p4f, 0x1p2f, 0x1p1f};
    for (int i = 0; i < 6; ++i) {
        const bool large = a >= least[i];
        small = large ? small * more[i] : small;
        a = large ? a * (1.0f / least[i]) : a;
    }
    float r = a * (1.0f / 3.0f) + 17.0f / 24.0f;
    for (int i = 0; i < 3; ++i) r = (r + a / r) * 0.5f;
    const float made = x >= std::numeric_limits<float>::infinity() ? x : r * small;
    return x >= 0x1p-126f ? made : x >= 0.0f ? 0.0f : std::numeric_limits<float>::quiet_NaN();
}

struct Sigmoid {
    static constexpr const char* name = "sigmoid";
    static constexpr double elements = 56;
    float operator()(float x) const { return or_nan(x, 1.0f / (exponential(x * -1.0f) + 1.0f)); }
};

struct Tanh {
    static constexpr const char* name = "tanh";
    static constexpr double elements = 108;
    float operator()(float x) const {
        const float z = x * x;
        float p = -5.70498872745e-3f;
        p = p * z + 2.06390887954e-2f;
        p = p * z + -5.37397155531e-2f;
        p = p * z + 1.33314422036e-1f;
        p = p * z + -3.33332819422e-1f;
        const float near = p * z * x + x;
        const float a = size_of(x), e = exponential(a + a);
        const float far = -2.0f / (e + 1.0f) + 1.0f;
        return or_nan(x, a >= 0.625f ? (x >= 0.0f ? far : far * -1.0f) : near);
    }
};

struct Erf {
    static constexpr const char* name = "erf";
    static constexpr double elements = 170;
    float operator()(float x) const {
        const float a = size_of(x), t = 1.0f / (a * 0.5f + 1.0f);
        float p = 0.17087277f;
        p = p * t + -0.82215223f;
        p = p * t + 1.48851587f;
        p = p * t + -1.13520398f;
        p = p * t + 0.27886807f;
        p = p * t + -0.18628806f;
        p = p * t + 0.09678418f;
        p = p * t + 0.37409196f;
        p = p * t + 1.00002368f;
        p = p * t + -1.26551223f;
        const float made = t * exponential(a * a * -1.0f + p) * -1.0f + 1.0f;
        return or_nan(x, x >= 0.0f ? made : made * -1.0f);
    }
};

struct Sqrt {
    static constexpr const char* name = "sqrt";
    static constexpr double elements = 240;
    float operator()(float x) const { return root(x); }
};

struct Reciprocal {
    static constexpr const char* name = "reciprocal";
    static constexpr double elements = 6;
    float operator()(float x) const { return 1.0f / x; }
};

}  // namespace
}  // namespace binarynet
