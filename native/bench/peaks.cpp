#include "peaks.h"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/cpu.h"
#include "base/memory.h"
#include "kernels/dispatch.h"

namespace binarynet {
namespace {

constexpr int kAttempts = 40;
constexpr int kTurns = 20000;

double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Work a second of all threads together, of the best of many calls that do `work` each. CPU time, so that
// other processes cost only their share of the caches.
double best_rate(int threads, double work, const std::function<void(int thread)>& call) {
    std::vector<double> best(static_cast<size_t>(threads));
    auto body = [&](int thread) {
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            const double begin = now();
            call(thread);
            double& mine = best[static_cast<size_t>(thread)];
            mine = std::max(mine, work / (now() - begin));
        }
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(body, thread);
    body(0);
    for (std::thread& other : others) other.join();
    double sum = 0;
    for (double rate : best) sum += rate;
    return sum;
}

struct Unit {
    const char* name;
    bool there;
    double macs;  // of one turn
    void (*turns)();
};

#if defined(__x86_64__)
// Enough chains to hide the latency of 4 to 6 cycles on two ports.
constexpr int kChains = 12;

__attribute__((target("avx2,fma"))) void fma256() {
    __m256 sum[kChains], a = _mm256_set1_ps(0.5f), b = a;
    for (__m256& s : sum) s = a;
    for (int i = 0; i < kTurns; ++i) {
        __asm__ volatile("" : "+x"(a), "+x"(b));
        BINARYNET_UNROLL
        for (int j = 0; j < kChains; ++j) sum[j] = _mm256_fmadd_ps(a, b, sum[j]);
    }
    BINARYNET_UNROLL
    for (int j = 0; j < kChains; ++j) __asm__ volatile("" : "+x"(sum[j]));
}

__attribute__((target("avx512f"))) void fma512() {
    __m512 sum[kChains], a = _mm512_set1_ps(0.5f), b = a;
    for (__m512& s : sum) s = a;
    for (int i = 0; i < kTurns; ++i) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
        BINARYNET_UNROLL
        for (int j = 0; j < kChains; ++j) sum[j] = _mm512_fmadd_ps(a, b, sum[j]);
    }
    BINARYNET_UNROLL
    for (int j = 0; j < kChains; ++j) __asm__ volatile("" : "+v"(sum[j]));
}

__attribute__((target("avx512f,avx512vnni"))) void vnni512() {
    __m512i sum[kChains], a = _mm512_set1_epi8(1), b = a;
    for (__m512i& s : sum) s = a;
    for (int i = 0; i < kTurns; ++i) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
        BINARYNET_UNROLL
        for (int j = 0; j < kChains; ++j) sum[j] = _mm512_dpbusd_epi32(sum[j], a, b);
    }
    BINARYNET_UNROLL
    for (int j = 0; j < kChains; ++j) __asm__ volatile("" : "+v"(sum[j]));
}

// 4 rows × 4 panels, as in kernels/avx512.cpp.
__attribute__((target("avx512f,avx512vpopcntdq"))) void popcount512() {
    const __m512i zero = _mm512_setzero_si512();
    __m512i sum[16] = {zero, zero, zero, zero, zero, zero, zero, zero,
                       zero, zero, zero, zero, zero, zero, zero, zero};
    __m512i row = zero, weight[4] = {zero, zero, zero, zero};
    BINARYNET_UNROLL
    for (int p = 0; p < 4; ++p) __asm__ volatile("" : "+v"(weight[p]));
    for (int i = 0; i < kTurns; ++i) {
        BINARYNET_UNROLL
        for (int r = 0; r < 4; ++r) {
            __asm__ volatile("" : "+v"(row));
            BINARYNET_UNROLL
            for (int p = 0; p < 4; ++p)
                sum[4 * r + p] =
                    _mm512_add_epi32(sum[4 * r + p], _mm512_popcnt_epi32(_mm512_xor_si512(row, weight[p])));
        }
    }
    BINARYNET_UNROLL
    for (int j = 0; j < 16; ++j) __asm__ volatile("" : "+v"(sum[j]));
}

// Full adders whose operands are the results of others, as in kernels/vertical.h. Words have names: an array
// that is indexed by a loop's variable would lie in memory.
#define BINARYNET_ADDERS(add) \
    add(a, e, i);             \
    add(b, f, j);             \
    add(c, g, k);             \
    add(d, h, l);             \
    add(e, i, a);             \
    add(f, j, b);             \
    add(g, k, c);             \
    add(h, l, d);             \
    add(i, a, e);             \
    add(j, b, f);             \
    add(k, c, g);             \
    add(l, d, h);
constexpr int kAdders = 12;
// A word of weights, which costs an adder, serves 3 of 8 (row, input) of a pair of rows whose inputs are set
// half the time and independently.
constexpr double kRowInputs = 8.0 / 3;

// x, y ← the sum and the carry of x + y + z
__attribute__((target("avx512f"), always_inline)) inline void add512(__m512i& x, __m512i& y,
                                                                     const __m512i& z) {
    const __m512i carry = _mm512_ternarylogic_epi64(x, y, z, 0xe8);
    x = _mm512_ternarylogic_epi64(x, y, z, 0x96);
    y = carry;
}

__attribute__((target("avx2"), always_inline)) inline void add256(__m256i& x, __m256i& y, const __m256i& z) {
    const __m256i xy = _mm256_xor_si256(x, y), xz = _mm256_xor_si256(x, z);
    y = _mm256_xor_si256(x, _mm256_and_si256(xy, xz));
    x = _mm256_xor_si256(xy, z);
}

__attribute__((target("avx512f"))) void adders512() {
    const __m512i word = _mm512_set1_epi32(0x1234567);
    __m512i a = word * 1, b = word * 2, c = word * 3, d = word * 4, e = word * 5, f = word * 6;
    __m512i g = word * 7, h = word * 8, i = word * 9, j = word * 10, k = word * 11, l = word * 12;
    for (int turn = 0; turn < kTurns; ++turn) {
        BINARYNET_ADDERS(add512)
        __asm__ volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f));
        __asm__ volatile("" : "+v"(g), "+v"(h), "+v"(i), "+v"(j), "+v"(k), "+v"(l));
    }
}

__attribute__((target("avx2"))) void adders256() {
    const __m256i word = _mm256_set1_epi32(0x1234567);
    __m256i a = word * 1, b = word * 2, c = word * 3, d = word * 4, e = word * 5, f = word * 6;
    __m256i g = word * 7, h = word * 8, i = word * 9, j = word * 10, k = word * 11, l = word * 12;
    for (int turn = 0; turn < kTurns; ++turn) {
        BINARYNET_ADDERS(add256)
        __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f));
        __asm__ volatile("" : "+x"(g), "+x"(h), "+x"(i), "+x"(j), "+x"(k), "+x"(l));
    }
}

// 2 rows × 4 panels, as in kernels/avx2.cpp: the nibbles of a weight vector serve both rows.
__attribute__((target("avx2"))) void tables256() {
    __m256i sum[8], weight = _mm256_set1_epi8(0x35), table[2] = {weight, weight};
    const __m256i low = _mm256_set1_epi8(15);
    for (__m256i& s : sum) s = _mm256_setzero_si256();
    for (int i = 0; i < kTurns; ++i) {
        BINARYNET_UNROLL
        for (int p = 0; p < 4; ++p) {
            __asm__ volatile("" : "+x"(weight));
            const __m256i nibble = _mm256_and_si256(weight, low);
            const __m256i other = _mm256_and_si256(_mm256_srli_epi16(weight, 4), low);
            BINARYNET_UNROLL
            for (int r = 0; r < 2; ++r) {
                __m256i& s = sum[2 * p + r];
                s = _mm256_add_epi8(s, _mm256_shuffle_epi8(table[r], nibble));
                s = _mm256_add_epi8(s, _mm256_shuffle_epi8(table[r], other));
                __asm__ volatile("" : "+x"(s));
            }
        }
    }
}

// Sums of five codes for 32 channels, as in kernels/lookup.h: a lane of weights asks three times.
__attribute__((target("avx512f,avx512bw"))) void lookups512() {
    __m512i sum[16], index = _mm512_set1_epi16(0x2b5a), table = index;
    for (__m512i& s : sum) s = _mm512_setzero_si512();
    for (int i = 0; i < kTurns; ++i) {
        __asm__ volatile("" : "+v"(index), "+v"(table));
        BINARYNET_UNROLL
        for (int j = 0; j < 16; ++j)
            sum[j] = _mm512_add_epi16(sum[j], _mm512_maskz_permutexvar_epi16(~uint32_t{0}, index, table));
        index = _mm512_maskz_srli_epi16(~uint32_t{0}, index, 1);
    }
    BINARYNET_UNROLL
    for (int j = 0; j < 16; ++j) __asm__ volatile("" : "+v"(sum[j]));
}

// Sums of four codes for 32 channels, low and high halves apart, into bytes.
__attribute__((target("avx2"))) void lookups256() {
    __m256i sum[8], weight = _mm256_set1_epi8(0x35), table = weight;
    const __m256i low = _mm256_set1_epi8(15);
    for (__m256i& s : sum) s = _mm256_setzero_si256();
    for (int i = 0; i < kTurns; ++i) {
        __asm__ volatile("" : "+x"(weight), "+x"(table));
        const __m256i nibble = _mm256_and_si256(weight, low);
        BINARYNET_UNROLL
        for (int j = 0; j < 8; ++j) sum[j] = _mm256_add_epi8(sum[j], _mm256_shuffle_epi8(table, nibble));
        BINARYNET_UNROLL
        for (int j = 0; j < 8; ++j) __asm__ volatile("" : "+x"(sum[j]));
    }
}

__attribute__((target("amx-tile"))) void configure_tiles() {
    struct alignas(64) {
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    __asm__ volatile("" : : "r"(&config) : "memory");  // GCC's _tile_loadconfig claims to read 8 bytes only
    _tile_loadconfig(&config);
}

__attribute__((target("amx-tile,amx-int8"))) void tiles_int8() {
    configure_tiles();
    for (int i = 0; i < kTurns; ++i) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 5, 6);
        _tile_dpbusd(2, 4, 7);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
}

__attribute__((target("amx-tile,amx-bf16"))) void tiles_bf16() {
    configure_tiles();
    for (int i = 0; i < kTurns; ++i) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 5, 6);
        _tile_dpbf16ps(2, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

__attribute__((target("avx512f"))) void read512(const uint8_t* data, size_t bytes) {
    __m512i any[4] = {};
    for (size_t i = 0; i < bytes; i += 256)
        for (size_t j = 0; j < 4; ++j) any[j] = _mm512_or_si512(any[j], _mm512_load_si512(data + i + j * 64));
    for (__m512i& a : any) __asm__ volatile("" : "+v"(a));
}

// available_kernels() has asked the system for the use of the tiles.
std::vector<Unit> units() {
    bool tiles = false;
    for (const Kernels* k : available_kernels()) tiles |= !std::strcmp(k->name, "amx");
    return {
        {"avx2 fma", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), kChains * 8.0, fma256},
        {"avx512 fma", bool(__builtin_cpu_supports("avx512f")), kChains * 16.0, fma512},
        {"avx512 vnni", bool(__builtin_cpu_supports("avx512vnni")), kChains * 64.0, vnni512},
        {"amx bf16", tiles && amx_has_bf16(), 4 * 16 * 16 * 32.0, tiles_bf16},
        {"amx int8", tiles, 4 * 16 * 16 * 64.0, tiles_int8},
        {"avx2 popcount", bool(__builtin_cpu_supports("avx2")), 8 * 256.0, tables256},
        {"avx2 adders", bool(__builtin_cpu_supports("avx2")), kAdders * 256 * kRowInputs, adders256},
        {"avx512 adders", bool(__builtin_cpu_supports("avx512f")), kAdders * 512 * kRowInputs, adders512},
        {"avx2 look-ups", bool(__builtin_cpu_supports("avx2")), 4 * 4 * 32.0, lookups256},
        {"avx512 look-ups", bool(__builtin_cpu_supports("avx512bw")), 16 * 5 * 32.0, lookups512},
        {"avx512 popcount", bool(__builtin_cpu_supports("avx512vpopcntdq")), 16 * 512.0, popcount512},
    };
}
#else
std::vector<Unit> units() {
    return {};
}
#endif

void read_words(const uint8_t* data, size_t bytes) {
    uint64_t any[4] = {};
    const uint64_t* words = reinterpret_cast<const uint64_t*>(data);
    for (size_t i = 0; i < bytes / 8; i += 4)
        for (size_t j = 0; j < 4; ++j) any[j] |= words[i + j];
    for (uint64_t& a : any) __asm__ volatile("" : "+r"(a));
}

}  // namespace

std::vector<std::string> arithmetic_units() {
    std::vector<std::string> names;
    for (const Unit& unit : units())
        if (unit.there) names.emplace_back(unit.name);
    return names;
}

double arithmetic_rate(const std::string& name, int threads) {
    for (const Unit& unit : units())
        if (unit.there && name == unit.name)
            return best_rate(threads, kTurns * unit.macs, [&](int) { unit.turns(); });
    return 0;
}

double read_rate(size_t bytes, int threads) {
    const size_t part = std::max<size_t>(bytes / static_cast<size_t>(threads) / 256, 1) * 256;
    const size_t repeat = std::max<size_t>(1, (8 << 20) / part);
    std::vector<Buffer> data;
    for (int thread = 0; thread < threads; ++thread) {
        data.emplace_back(part);
        std::memset(data.back().as<uint8_t>(), 1, part);
    }
    auto read = read_words;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) read = read512;
#endif
    return best_rate(threads, double(part) * double(repeat), [&](int thread) {
        for (size_t i = 0; i < repeat; ++i) read(data[static_cast<size_t>(thread)].as<uint8_t>(), part);
    });
}

}  // namespace binarynet
