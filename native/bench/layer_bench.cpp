// One Linear or 3 × 3 Conv2d of ±1 on each kernel, in turn, so that a machine that slows down slows all
// alike:
//     layer_bench <instruction set> <seconds> <threads> <kernel,kernel,…> <layer@images,images,…> …
//     layer_bench amx 1 1 tiles,vertical,bitsliced,popcount L:1024:1024:bits@1024 C:32:128:128:bits@1,8
//
// L:depth:outputs:bits|i32 or C:side:channels:filters:bits|i32 (padded with zeros, max-pooled where bits). Of
// a kernel, the shortest and the median time of the layer's step, the expected one, and those of the whole
// run: of one thread processor time. `price` is the kernel that the plan takes; one that cannot run the layer
// is left out.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/memory.h"
#include "network/network.h"
#include "tests/random.h"

using namespace binarynet;

namespace {

PackedWeights weights(size_t channels, size_t depth) {
    return {Code::parse("b1"), channels, packed_rows(channels, depth)};
}

std::vector<std::string> split(const std::string& text, char by) {
    std::vector<std::string> parts(1);
    for (char c : text)
        if (c == by)
            parts.emplace_back();
        else
            parts.back() += c;
    return parts;
}

void build(Network& network, const std::vector<std::string>& layer) {
    generator.seed(1);
    const bool dense = layer.at(0) == "L", bits = layer.back() == "bits";
    const auto number = [&](size_t i) { return static_cast<size_t>(std::atoi(layer.at(i).c_str())); };
    const size_t outputs = number(dense ? 2 : 3);
    int x;
    if (dense) {
        x = network.add_input({number(1)}, "b1");
        x = network.add_linear("layer", x, weights(outputs, number(1)));
    } else {
        Window window{};
        window.kernel_height = window.kernel_width = 3;
        window.top = window.bottom = window.left = window.right = 1;
        x = network.add_input({number(1), number(1), number(2)}, "b1");
        x = network.add_conv2d("layer", x, weights(outputs, 9 * number(2)), window, 1, 0);
    }
    if (bits) {
        ThresholdTable table;
        for (size_t c = 0; c < outputs; ++c) {
            table.i32.push_back(static_cast<int32_t>(generator() % 41) - 20);
            table.rising.push_back(generator() & 1);
        }
        x = network.add_threshold("bits", x, table);
        Window pool{};
        pool.kernel_height = pool.kernel_width = pool.stride_y = pool.stride_x = 2;
        x = dense ? network.add_linear("reader", x, weights(1, outputs))
                  : network.add_max_pool2d("pool", x, pool, std::vector<uint8_t>(outputs, 0));
    }
    network.finish(x);
}

double now(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Row {
    std::string kernel;
    std::unique_ptr<Network> network;
    std::vector<double> step, whole;
};

void time_layer(const std::string& isa, double seconds, int threads, const std::vector<std::string>& kernels,
                const std::string& text, size_t images) {
    constexpr int kRounds = 8;
    std::vector<Row> rows;
    for (const std::string& kernel : kernels) {
        try {
            Row row{kernel, std::make_unique<Network>(isa, threads, kernel == "price" ? "" : kernel), {}, {}};
            build(*row.network, split(text, ':'));
            rows.push_back(std::move(row));
        } catch (const std::invalid_argument&) {
        }
    }
    if (rows.empty()) return;
    Buffer input(images * rows[0].network->input_numbers()),
        output(images * rows[0].network->output_numbers() * 4);
    for (size_t i = 0; i < images * rows[0].network->input_numbers(); ++i)
        input.as<uint8_t>()[i] = generator() & 1;
    for (int round = 0; round < kRounds; ++round)
        for (Row& row : rows) {
            row.network->run(input.as<uint8_t>(), images, output.as<uint8_t>());
            const double end = now(CLOCK_MONOTONIC) + seconds / kRounds;
            do {
                std::vector<double> steps(row.network->steps());
                const clockid_t clock = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
                const double begin = now(clock);
                row.network->run(input.as<uint8_t>(), images, output.as<uint8_t>(), steps.data());
                row.whole.push_back(now(clock) - begin);
                row.step.push_back(steps[1]);  // behind the one that packs the input
            } while (now(CLOCK_MONOTONIC) < end);
        }
    std::printf("%s × %zu, %s, %d thread(s), µs: shortest, median\n", text.c_str(), images, isa.c_str(),
                threads);
    for (Row& row : rows) {
        std::sort(row.step.begin(), row.step.end());
        std::sort(row.whole.begin(), row.whole.end());
        const auto step = row.network->plan(images)[1];
        std::printf("    %-10s %9.1f %9.1f (expected %9.1f)   whole run %9.1f %9.1f   %s\n",
                    row.kernel.c_str(), row.step[0] * 1e6, row.step[row.step.size() / 2] * 1e6,
                    step.seconds * 1e6, row.whole[0] * 1e6, row.whole[row.whole.size() / 2] * 1e6,
                    step.kernel.c_str());
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 6) {
        std::puts("layer_bench <instruction set> <seconds> <threads> <kernel,…> <layer@images,…> …");
        return 2;
    }
    for (int i = 5; i < count; ++i) {
        const std::vector<std::string> parts = split(arguments[i], '@');
        for (const std::string& images : split(parts.at(1), ','))
            time_layer(arguments[1], std::atof(arguments[2]), std::atoi(arguments[3]),
                       split(arguments[4], ','), parts[0], static_cast<size_t>(std::atoi(images.c_str())));
    }
}
