// compile (.*):
//
// Plain C++: what every other kernel is compared with. A strip is 4 rows × 16 columns.
#include <cmath>
#include <cstring>

#include "tile.h"

namespace binarynet::training {
namespace {

constexpr size_t kColumns = 16;

// One column: the compiler makes what vectors it likes of four of them.
template <class T>
struct Plain {
    struct Word {
        uint32_t lane[4];
    };
    struct Sum {
        T lane[4];
    };
    static Word load(const uint8_t* p) {
        Word word;
        std::memcpy(&word, p, sizeof(word));
        return word;
    }
    static Word broadcast(const uint8_t* p) {
        uint32_t one;
        std::memcpy(&one, p, sizeof(one));
        return {{one, one, one, one}};
    }
    static Sum zero() { return {{}}; }
    static Sum load_sum(const uint8_t* p) {
        Sum sum;
        std::memcpy(&sum, p, sizeof(sum));
        return sum;
    }
    static void store_sum(uint8_t* p, Sum sum) { std::memcpy(p, &sum, sizeof(sum)); }
};

uint32_t ones_of(uint32_t x) {  // Warren, Hacker's Delight, 5-1
    x -= x >> 1 & 0x55555555;
    x = (x & 0x33333333) + (x >> 2 & 0x33333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f;
    return x * 0x01010101 >> 24;
}
float real(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

struct Bits : Plain<int32_t> {
    static Sum dot(Sum sum, Word a, Word b) {
        for (int i = 0; i < 4; ++i) sum.lane[i] += static_cast<int32_t>(ones_of(a.lane[i] ^ b.lane[i]));
        return sum;
    }
};
struct Bytes : Plain<int32_t> {
    static Sum dot(Sum sum, Word a, Word b) {
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 32; j += 8)
                sum.lane[i] +=
                    static_cast<int32_t>(a.lane[i] >> j & 0xff) * static_cast<int8_t>(b.lane[i] >> j);
        return sum;
    }
};
struct Float32 : Plain<float> {
    static Sum dot(Sum sum, Word a, Word b) {
        for (int i = 0; i < 4; ++i) sum.lane[i] += real(a.lane[i]) * real(b.lane[i]);
        return sum;
    }
};

template <bool kOnes>
bool pack(const float* x, size_t count, uint32_t* bits) {
    bool good = true;
    for (size_t i = 0; i < count; i += 32) {
        uint32_t word = 0;
        for (size_t n = 0; n < 32 && i + n < count; ++n) {
            const float value = x[i + n];
            good &= kOnes ? std::fabs(value) == 1 : value == value;
            word |= uint32_t{value >= 0} << n;
        }
        bits[i / 32] = word;
        if (kOnes && !good) return false;
    }
    return good;
}

bool always() {
    return true;
}
bool never() {
    return false;
}

}  // namespace

extern const Kernel portable_kernel;
const Kernel portable_kernel = {"portable",
                                always,
                                4,
                                kColumns,
                                multiply_strip<Bits, 4, 4>,
                                multiply_strip<Bytes, 4, 4>,
                                nullptr,
                                multiply_strip<Float32, 4, 4>,
                                never,
                                pack<false>,
                                pack<true>};

}  // namespace binarynet::training
