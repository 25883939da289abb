// Binary MACs a cycle and a second of each instruction set and their share of the machine's limit:
//     kernels_bench [seconds per row] [instruction set ...]
//
// One thread, its CPU time (so that other processes cost it only their share of the caches). Weights and rows
// are packed before; one warm-up; median and spread (lowest … highest) of repeated runs. The clock is
// measured beside every row by a chain of dependent multiplications, so that "a cycle" holds whatever the
// frequency.
//
// The limit of a row is the longer of two times, both measured first in the same run: its MACs at the peak of
// the instruction set, a loop of the kernel's arithmetic on registers alone; and its bytes, read once, at the
// bandwidth for that many bytes. Of several ways it is the shortest of their
// limits. Shares
// are of the median and, in brackets, of the best run. The port limits stand at the top of
// native/kernels/<name>.cpp.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include <time.h>

#include "base/bits.h"
#include "base/memory.h"
#include "bench/peaks.h"
#include "kernels/dispatch.h"
#include "kernels/panels.h"

using namespace binarynet;

namespace {

struct Shape {
    size_t rows, channels, depth;
    int planes;
    bool bits;
};

double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double cycles_per_second() {
    constexpr int kProducts = 200000, kLatency = 3;  // of a 64-bit multiplication, on all x86-64 since 2008
    double best = 1;
    for (int attempt = 0; attempt < 5; ++attempt) {
        uint64_t chain = static_cast<uint64_t>(attempt), factor = chain | 5;
        const double begin = now();
        for (int i = 0; i < kProducts; ++i) {
            chain *= factor;
            __asm__ volatile("" : "+r"(chain), "+r"(factor));
        }
        best = std::min(best, now() - begin);
    }
    return kProducts * kLatency / best;
}

struct Peak {
    // Binary MACs a second, by counting and by adding, and u8 × ±1 MACs; 0: not measured here.
    double popcount = 0, vertical = 0, tiles = 0;
};

Peak measure_peak(const Kernels& k) {
    Peak peak;
    if (k.popcount_unit) peak.popcount = arithmetic_rate(k.popcount_unit, 1);
    if (k.vertical_unit) peak.vertical = arithmetic_rate(k.vertical_unit, 1);
    if (k.tile_unit) peak.tiles = arithmetic_rate(k.tile_unit, 1);
    std::printf("%s: at most", k.name);
    if (peak.popcount > 0) std::printf(" %.0f GMAC/s by counting bits", peak.popcount / 1e9);
    if (peak.vertical > 0) std::printf(", %.0f by adding words", peak.vertical / 1e9);
    if (peak.tiles > 0) std::printf(", %.0f by tiles", peak.tiles / 1e9);
    std::puts(peak.popcount > 0 ? "" : " (not measured)");
    return peak;
}

struct Bandwidth {
    size_t bytes;
    double rate;  // bytes a second, read over and over
};

std::vector<Bandwidth> measure_bandwidths() {
    std::vector<Bandwidth> all;
    for (size_t kib : {32, 512, 1536, 2048, 8192, 65536}) {
        all.push_back({kib << 10, read_rate(kib << 10, 1)});
        std::printf("read %5zu KB: %5.0f GB/s\n", kib, all.back().rate / 1e9);
    }
    return all;
}

// Seconds that no implementation on these units can beat; 0 if the peak is not known.
double limit(const Peak& peak, const std::vector<Bandwidth>& bandwidths, double macs, double planes,
             size_t bytes) {
    if (peak.popcount <= 0) return 0;
    auto distance = [&](const Bandwidth& b) { return std::abs(std::log(double(b.bytes) / double(bytes))); };
    const Bandwidth& nearest =
        *std::min_element(bandwidths.begin(), bandwidths.end(),
                          [&](const Bandwidth& a, const Bandwidth& b) { return distance(a) < distance(b); });
    double compute = macs / (planes == 1 ? std::max(peak.popcount, peak.vertical) : peak.popcount);
    if (peak.tiles > 0) compute = std::min(compute, macs / planes / peak.tiles);
    return std::max(compute, double(bytes) / nearest.rate);
}

void time_shape(const Kernels& k, const Shape& shape, double budget, const Peak& peak,
                const std::vector<Bandwidth>& bandwidths) {
    std::mt19937_64 random(1);
    const size_t words = words_for(shape.depth), planes = static_cast<size_t>(shape.planes);
    auto fill = [&](Buffer& buffer, size_t rows) {
        for (size_t i = 0; i < rows * words; ++i)
            buffer.as<uint64_t>()[i] = random() & (i % words + 1 < words || shape.depth % kWord == 0
                                                       ? ~uint64_t{0}
                                                       : low_bits(shape.depth % kWord));
    };
    Buffer rows(shape.rows * planes * words * 8), weights(shape.channels * words * 8);
    fill(rows, shape.rows * planes);
    fill(weights, shape.channels);
    const Panels panels(k.panel, weights.as<uint64_t>(), shape.channels, words, shape.depth);
    Buffer terms(panels.padded_channels() * 4), flip(panels.padded_channels() / 8);
    std::fill_n(terms.as<int32_t>(), panels.padded_channels(), static_cast<int32_t>(shape.depth / 2));
    const size_t stride = round_up(panels.padded_channels() / 8, 8);
    Buffer out(shape.rows * (shape.bits ? stride : shape.channels * 4));

    GemmBits bits{};
    bits.rows = rows.as<uint64_t>();
    bits.row_count = shape.rows;
    bits.row_stride = planes * words;
    bits.words = words;
    bits.planes = shape.planes;
    bits.panels = panels.data();
    bits.units = panels.units();
    bits.panel_end = panels.count();
    bits.tiles = k.tile_depth > 0;
    bits.terms = terms.as<int32_t>();
    bits.flip = flip.as<uint8_t>();
    bits.out = out.as<uint8_t>();
    bits.out_stride = stride;
    GemmI32 i32{};
    static_cast<Gemm&>(i32) = bits;
    i32.shift = 1;
    i32.channels = shape.channels;
    i32.out = out.as<int32_t>();
    i32.out_stride = shape.channels;
    i32.stream = true;

    std::vector<double> times;
    const double macs = double(shape.rows) * double(shape.channels) * double(shape.depth) * double(planes);
    const size_t repeat = static_cast<size_t>(std::max(1.0, 2e-3 / (macs / 500e9)));
    for (double start = now(); times.size() < 4 || now() - start < budget;) {
        const double begin = now();
        for (size_t i = 0; i < repeat; ++i) {
            bits.downwards = i32.downwards = i % 2;  // as the runs of a network
            shape.bits ? k.gemm_bits(bits) : k.gemm_i32(i32);
        }
        times.push_back((now() - begin) / double(repeat));
    }
    times.erase(times.begin());  // warm-up
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2];
    std::printf(
        "%-8s %4zu x %4zu x %4zu  %d plane%s -> %-4s %9.4f ms (%.4f … %.4f) %8.1f GMAC/s %6.1f a cycle",
        k.name, shape.rows, shape.channels, shape.depth, shape.planes, shape.planes > 1 ? "s" : " ",
        shape.bits ? "bits" : "i32", median * 1e3, times.front() * 1e3, times.back() * 1e3,
        macs / median / 1e9, macs / median / cycles_per_second());
    const double least = limit(peak, bandwidths, macs, double(planes), panels.bytes() + rows.bytes());
    if (least > 0) std::printf("  %3.0f (%.0f) %%", 100 * least / median, 100 * least / times.front());
    std::puts("");
}

}  // namespace

int main(int count, char** arguments) {
    const double budget = count > 1 ? std::atof(arguments[1]) : 0.3;
    const Shape shapes[] = {
        {1024, 1024, 1024, 1, true},  {1024, 1024, 1024, 1, false}, {4096, 4096, 4096, 1, true},
        {4096, 4096, 4096, 1, false}, {1, 4096, 4096, 1, true},     {4, 4096, 4096, 1, true},
        {16, 4096, 4096, 1, true},    {100, 4096, 4096, 1, true},   {1000, 4096, 4096, 1, true},
        {100, 4096, 784, 8, true},    {1024, 128, 27, 8, true},     {1024, 128, 1152, 1, true},
        {256, 256, 2304, 1, true},    {64, 512, 4608, 1, true},     {64, 1024, 8192, 1, true},
        {1, 10, 4096, 1, false},
    };
    const std::vector<Bandwidth> bandwidths = measure_bandwidths();
    for (const Kernels* k : available_kernels()) {
        bool wanted = count < 3;
        for (int i = 2; i < count; ++i) wanted |= !std::strcmp(arguments[i], k->name);
        if (!wanted) continue;
        const Peak peak = measure_peak(*k);
        for (const Shape& shape : shapes) time_shape(*k, shape, budget, peak, bandwidths);
    }
}
