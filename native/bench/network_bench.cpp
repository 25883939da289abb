// Whole networks of the papers' sizes, from bytes to float logits, with random weights:
//     network_bench [seconds per row] [instruction set] [threads ...]
//
// Median (lowest … highest) of repeated runs after a warm-up: of one thread its CPU time, of more the wall
// time, which wants a quiet machine. Under each row, what every step took in runs of their own: median
// (lowest).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <time.h>

#include "kernels/dispatch.h"
#include "network/network.h"
#include "tests/random.h"

using namespace binarynet;

namespace {

PackedWeights weights(size_t channels, size_t depth) {
    return {Code::parse("b1"), channels, packed_rows(channels, depth)};
}

ThresholdTable thresholds(size_t channels) {
    ThresholdTable table;
    for (size_t c = 0; c < channels; ++c) {
        table.i32.push_back(static_cast<int32_t>(generator() % 41) - 20);
        table.rising.push_back(generator() & 1);
    }
    return table;
}

int dense(Network& network, int x, size_t channels, size_t depth, const std::string& number) {
    x = network.add_linear("fc" + number, x, weights(channels, depth));
    return network.add_threshold("sign" + number, x, thresholds(channels));
}

void answer(Network& network, int x, size_t depth) {
    x = network.add_linear("last", x, weights(10, depth));
    network.finish(network.add_affine("out", x, {std::vector<float>(10, 0.3f), std::vector<float>(10, 1)}));
}

// 784-4096-4096-4096-10.
void mlp(Network& network) {
    int x = network.add_input({784}, "b8");
    x = dense(network, x, 4096, 784, "1");
    x = dense(network, x, 4096, 4096, "2");
    x = dense(network, x, 4096, 4096, "3");
    answer(network, x, 4096);
}

// 2 × 128C3 - MP2 - 2 × 256C3 - MP2 - 2 × 512C3 - MP2 - 1024 - 1024 - 10 on 32 × 32 × 3 bytes.
void conv_net(Network& network) {
    Window same{};
    same.kernel_height = same.kernel_width = 3;
    same.top = same.bottom = same.left = same.right = 1;
    Window pool{};
    pool.kernel_height = pool.kernel_width = pool.stride_y = pool.stride_x = 2;
    int x = network.add_input({32, 32, 3}, "b8");
    size_t depth = 3, layer = 0;
    for (size_t channels : {128, 128, 256, 256, 512, 512}) {
        const std::string number = std::to_string(++layer);
        x = network.add_conv2d("conv" + number, x, weights(channels, 9 * depth), same, 1, 0);
        x = network.add_threshold("bits" + number, x, thresholds(channels));
        if (layer % 2 == 0)
            x = network.add_max_pool2d("pool" + number, x, pool, std::vector<uint8_t>(channels, 0));
        depth = channels;
    }
    x = network.add_flatten("flat", x);
    x = dense(network, x, 1024, 8192, "1");
    x = dense(network, x, 1024, 1024, "2");
    answer(network, x, 1024);
}

double now(const Network& network) {
    timespec t;
    clock_gettime(network.threads() > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

void time_network(const char* name, Network& network, size_t images, double budget) {
    std::vector<uint8_t> input(images * network.input_numbers());
    for (auto& byte : input) byte = static_cast<uint8_t>(generator());
    std::vector<float> output(images * network.output_numbers());
    std::vector<double> times;
    std::vector<std::vector<double>> steps(network.steps());
    for (double start = now(network); times.size() < 4 || now(network) - start < budget;) {
        const double begin = now(network);
        network.run(input.data(), images, output.data());
        times.push_back(now(network) - begin);
    }
    times.erase(times.begin());  // warm-up
    const double whole = median(times);
    std::printf("%-8s batch %4zu  %s, %d thread%s %10.4f ms (%.4f … %.4f)\n", name, images,
                network.kernels().name, network.threads(), network.threads() > 1 ? "s" : " ", whole * 1e3,
                times.front() * 1e3, times.back() * 1e3);
    for (double start = now(network); steps[0].size() < 4 || now(network) - start < budget / 2;) {
        std::vector<double> seconds(steps.size());
        network.run(input.data(), images, output.data(), seconds.data());
        for (size_t i = 0; i < steps.size(); ++i) steps[i].push_back(seconds[i]);
    }
    size_t i = 0;
    for (const auto& step : network.plan(images)) {
        const double middle = median(steps[i]);
        std::printf("    %-8s %9.2f µs (%.2f; expected %.2f)  %s\n", step.op.c_str(), middle * 1e6,
                    steps[i++].front() * 1e6, step.seconds * 1e6, step.kernel.c_str());
    }
}

}  // namespace

int main(int count, char** arguments) {
    const double budget = count > 1 ? std::atof(arguments[1]) : 0.5;
    const std::string isa = count > 2 ? arguments[2] : "";
    std::vector<int> threads;
    for (int i = 3; i < count; ++i) threads.push_back(std::atoi(arguments[i]));
    if (threads.empty()) threads = {1, 2};
    struct Row {
        const char* name;
        void (*build)(Network&);
        std::vector<size_t> batches;
    };
    for (int number : threads) {
        for (const Row& row : {Row{"MLP", mlp, {1, 100, 1000}}, Row{"ConvNet", conv_net, {1, 64}}}) {
            Network network(isa, number);
            row.build(network);
            for (size_t images : row.batches) time_network(row.name, network, images, budget);
        }
    }
}
