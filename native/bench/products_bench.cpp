// The three products of each convolution of the CIFAR-10 network, as a training step calls them: milliseconds
// and share of the matrix unit's peak:
//     products_bench [images] [width] [threads] [steps]         (50, 1.0, 1, 12)
//
// A step runs all layers forward, then all back, on memory that is there already, so that a product finds its
// operands where training leaves them: not in the cache. The median of the steps after the first two. With
// one thread it is CPU time, so that other processes cost only their share of the caches; with more it is the
// time on the clock. The peak is measured first, on registers alone.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "base/memory.h"
#include "bench/peaks.h"
#include "training/products.h"

using namespace binarynet;
using namespace binarynet::training;

namespace {

struct Layer {
    ConvShape shape;
    Buffer w, y, dy, dw, signs;  // y is the next layer's x where it has that size
    std::vector<double> times[3];

    explicit Layer(const ConvShape& s) : shape(s) {
        const size_t out = s.images * s.height * s.width * s.filters;
        const size_t weights = s.filters * s.channels * s.kernel_height * s.kernel_width;
        w = Buffer(weights * 4), dw = Buffer(weights * 4);
        y = Buffer(out * 4), dy = Buffer(out * 4);
        signs = Buffer(conv_sign_words(s) * 4);
        std::mt19937 random(7);
        for (size_t i = 0; i < weights; ++i)
            w.as<float>()[i] = static_cast<float>(random()) / 4294967296.0f - 0.5f;
        for (size_t i = 0; i < out; ++i)
            dy.as<float>()[i] = static_cast<float>(random()) / 4294967296.0f - 0.5f;
    }
    double macs() const {
        return static_cast<double>(shape.images * shape.height * shape.width) *
               static_cast<double>(shape.filters * shape.channels * shape.kernel_height * shape.kernel_width);
    }
};

double now(int threads) {
    timespec t;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
    const size_t images = argc > 1 ? static_cast<size_t>(std::atoi(argv[1])) : 50;
    const double width = argc > 2 ? std::atof(argv[2]) : 1;
    const int threads = argc > 3 ? std::atoi(argv[3]) : 1, steps = argc > 4 ? std::atoi(argv[4]) : 12;
    if (!products_supported()) {
        std::puts("no matrix unit for bfloat16 here");
        return 0;
    }
    const double peak = arithmetic_rate("amx bf16", threads);
    const auto wide = [&](size_t filters) {
        return static_cast<size_t>(static_cast<double>(filters) * width);
    };
    const size_t sizes[6] = {32, 32, 16, 16, 8, 8};
    std::vector<Layer> layers;
    size_t channels = 3;
    for (size_t i = 0; i < 6; ++i) {
        const size_t filters = wide(size_t{128} << i / 2);
        layers.emplace_back(ConvShape{images, sizes[i], sizes[i], channels, filters, 3, 3});
        channels = filters;
    }
    // ±1 and, of the first layer, bytes.
    std::vector<Buffer> x, dx;
    std::mt19937 random(8);
    for (const Layer& layer : layers) {
        const ConvShape& s = layer.shape;
        const size_t count = s.images * s.height * s.width * s.channels;
        x.emplace_back(count * 4), dx.emplace_back(count * 4);
        for (size_t i = 0; i < count; ++i)
            x.back().as<float>()[i] = s.channels == 3 ? static_cast<float>(2 * int(random() % 256) - 255)
                                      : random() % 2  ? 1.f
                                                      : -1.f;
    }
    const auto timed = [&](Layer& layer, int product, auto&& call) {
        const double begin = now(threads);
        call();
        layer.times[product].push_back(now(threads) - begin);
    };
    for (int step = 0; step < steps; ++step) {
        if (step == 2)
            for (Layer& layer : layers)
                for (auto& times : layer.times) times.clear();
        for (size_t i = 0; i < layers.size(); ++i) {
            Layer& l = layers[i];
            timed(l, 0, [&] {
                conv(l.shape, {x[i].as<float>()}, 1, l.w.as<float>(), l.y.as<float>(), l.signs.as<uint32_t>(),
                     threads);
            });
        }
        for (size_t i = layers.size(); i-- > 0;) {
            Layer& l = layers[i];
            if (i)  // the images need no gradient
                timed(l, 1, [&] {
                    conv_input_gradient(l.shape, {l.dy.as<float>()}, 1, l.signs.as<uint32_t>(), nullptr,
                                        dx[i].as<float>(), threads);
                });
            timed(l, 2, [&] {
                conv_weight_gradient(l.shape, {l.dy.as<float>()}, 1, {x[i].as<float>()}, 1, l.dw.as<float>(),
                                     threads);
            });
        }
    }
    std::printf("%zu images, %.2f wide, %d thread(s), %s; peak %.0f GMAC/s\n", images, width, threads,
                threads == 1 ? "CPU time" : "wall time", peak / 1e9);
    std::puts("layer                        forward        input gradient    weight gradient");
    double total[3] = {}, macs[3] = {};
    const auto cell = [&](double done, double time) {
        if (time > 0)
            std::printf("  %7.2f ms %4.0f %%", time * 1e3, 100 * done / time / peak);
        else
            std::printf("  %16s", "–  ");
    };
    for (const Layer& layer : layers) {
        const ConvShape& s = layer.shape;
        std::printf("%2zu × %2zu, %3zu → %3zu  ", s.height, s.width, s.channels, s.filters);
        for (int product = 0; product < 3; ++product) {
            const double time = layer.times[product].empty() ? 0 : median(layer.times[product]);
            if (time > 0) total[product] += time, macs[product] += layer.macs();
            cell(layer.macs(), time);
        }
        std::puts("");
    }
    std::printf("%-20s", "all");
    for (int product = 0; product < 3; ++product) cell(macs[product], total[product]);
    std::puts("");
}
