// Networks under load: any number of callers, threads and batch sizes give the same answers; after the first
// run no memory is taken; every piece of work of the pool runs exactly once. Written for the sanitizers as
// much as for itself. That the answers are the right ones is the subject of tests/runtime, which has the
// oracle.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>

#include "allocations.h"
#include "base/memory.h"
#include "base/threads.h"
#include "kernels/dispatch.h"
#include "network/network.h"
#include "numbers.h"

using namespace binarynet;

namespace {

PackedWeights random_weights(std::mt19937_64& random, size_t channels, size_t depth,
                             const std::string& encoding = "b1") {
    const Code code = Code::parse(encoding);
    std::vector<uint64_t> rows(static_cast<size_t>(code.bits) * channels * words_for(depth));
    for (size_t i = 0; i < rows.size(); ++i)
        rows[i] = random() & (i % words_for(depth) + 1 < words_for(depth) || depth % kWord == 0
                                  ? ~uint64_t{0}
                                  : low_bits(depth % kWord));
    return {code, channels, std::move(rows)};
}

ThresholdTable random_thresholds(std::mt19937_64& random, size_t channels,
                                 const std::string& encoding = "b1") {
    ThresholdTable table;
    table.code = Code::parse(encoding);
    for (size_t c = 0; c < channels; ++c) {
        for (int32_t level = 1; level < table.code.count; ++level)
            table.i32.push_back(static_cast<int32_t>(random() % 41) - 20);
        table.rising.push_back(random() & 1);
    }
    return table;
}

// 10 × 10 × 3 bytes, convolutions with zero padding, a pool, a residual, dense layers, float answers.
void build(Network& network) {
    std::mt19937_64 random(7);
    Window same{};
    same.kernel_height = same.kernel_width = 3;
    same.top = same.bottom = same.left = same.right = 1;
    Window pool{};
    pool.kernel_height = pool.kernel_width = pool.stride_y = pool.stride_x = 2;
    int x = network.add_input({10, 10, 3}, "b8");
    x = network.add_conv2d("conv1", x, random_weights(random, 70, 27), same, 1, 0);
    x = network.add_threshold("sign1", x, random_thresholds(random, 70));
    x = network.add_max_pool2d("pool1", x, pool, std::vector<uint8_t>(70, 1));
    const int trunk = network.add_conv2d("conv2", x, random_weights(random, 64, 630), same, 1, 0);
    x = network.add_threshold("sign2", trunk, random_thresholds(random, 64));
    x = network.add_conv2d("conv3", x, random_weights(random, 64, 576), same, 1, 0);
    x = network.add_threshold("sign3", network.add_add("add", x, trunk), random_thresholds(random, 64));
    x = network.add_linear("fc1", network.add_flatten("flat", x), random_weights(random, 1000, 1600));
    x = network.add_threshold("sign4", x, random_thresholds(random, 1000));
    x = network.add_linear("fc2", x, random_weights(random, 10, 1000));
    x = network.add_affine("out", x, {std::vector<float>(10, 0.3f), std::vector<float>(10, -1.7f)});
    network.finish(x);
}

// The same images, codes of several bits, and reals behind them. Whole numbers throughout, so that float32
// sums are the same for every instruction set.
void build_codes(Network& network) {
    std::mt19937_64 random(11);
    Window same{};
    same.kernel_height = same.kernel_width = 3;
    same.top = same.bottom = same.left = same.right = 1;
    Window pool{};
    pool.kernel_height = pool.kernel_width = pool.stride_y = pool.stride_x = 2;
    int x = network.add_input({10, 10, 3}, "u8");
    x = network.add_conv2d("conv1", x, random_weights(random, 70, 27, "i4"), same, 1, 0);
    x = network.add_threshold("codes1", x, random_thresholds(random, 70, "u2"));
    x = network.add_max_pool2d("pool1", x, pool, std::vector<uint8_t>(70, 1));
    x = network.add_conv2d("conv2", x, random_weights(random, 66, 315, "b1"), same, 2, 0);
    x = network.add_threshold("codes2", x, random_thresholds(random, 66, "b3"));
    x = network.add_conv2d("conv3", x, random_weights(random, 64, 594, "u1"), same, 1, 0);
    x = network.add_threshold("bits3", x, random_thresholds(random, 64, "u1"));
    x = network.add_linear("fc1", network.add_flatten("flat", x), random_weights(random, 600, 1600, "b2"));
    x = network.add_threshold("codes4", x, random_thresholds(random, 600, "i5"));
    x = network.add_linear("fc2", x, std::vector<float>(50 * 600, -2.0f), 50);
    x = network.add_linear("fc3", network.add_relu("relu", x), random_weights(random, 40, 50, "b1"));
    x = network.add_linear("fc4", x, random_weights(random, 10, 40, "i3"));
    network.finish(x);
}

// The same images, convolutions wide enough for the tiles of a matrix unit, on codes and on bits.
void build_wide(Network& network) {
    std::mt19937_64 random(13);
    Window same{};
    same.kernel_height = same.kernel_width = 3;
    same.top = same.bottom = same.left = same.right = 1;
    int x = network.add_input({10, 10, 3}, "b8");
    x = network.add_conv2d("conv1", x, random_weights(random, 64, 27), same, 1, 0);
    x = network.add_threshold("sign1", x, random_thresholds(random, 64));
    x = network.add_conv2d("conv2", x, random_weights(random, 96, 576), same, 1, 0);
    x = network.add_threshold("codes2", x, random_thresholds(random, 96, "b2"));
    same.left = same.right = 4;  // 16 columns
    x = network.add_conv2d("conv3", x, random_weights(random, 32, 864), same, 1, 1);
    x = network.add_threshold("sign3", x, random_thresholds(random, 32));
    x = network.add_linear("fc", network.add_flatten("flat", x), random_weights(random, 10, 5120));
    x = network.add_affine("out", x, {std::vector<float>(10, 0.3f), std::vector<float>(10, -1.7f)});
    network.finish(x);
}

constexpr size_t kPixels = 300, kClasses = 10, kImages = 40;

std::vector<uint8_t> images() {
    std::mt19937 random(3);
    std::vector<uint8_t> data(kImages * kPixels);
    for (auto& byte : data) byte = static_cast<uint8_t>(random());
    return data;
}

// FNV-1a over the bits of the answers: the same number on every processor, with every compiler.
uint64_t digest(const std::vector<float>& answers) {
    uint64_t hash = 0xcbf29ce484222325;
    const auto* bytes = reinterpret_cast<const unsigned char*>(answers.data());
    for (size_t i = 0; i < answers.size() * sizeof(float); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

void test_equal_answers_for_all_threads_batches_and_callers(void (*build)(Network&),
                                                            uint64_t answers_digest) {
    const auto data = images();
    std::vector<float> expected(kImages * kClasses);
    Network reference("portable", 1);
    build(reference);
    reference.run(data.data(), kImages, expected.data());
    SAME(digest(expected) == answers_digest, "the answers of every processor: %#llx",
         static_cast<unsigned long long>(digest(expected)));
    for (const Kernels* k : available_kernels()) {
        long numbers = 0;
        for (int threads : {1, 2, 4}) {
            Network network(k->name, threads);
            build(network);
            std::atomic<int> wrong{0};
            auto call = [&](size_t start) {
                std::vector<float> answers(kImages * kClasses);
                for (size_t count : {1, 3, 17, 40}) {
                    const size_t first = start % (kImages - count + 1);
                    network.run(&data[first * kPixels], count, answers.data());
                    for (size_t i = 0; i < count * kClasses; ++i)
                        if (answers[i] != expected[first * kClasses + i]) ++wrong;
                }
            };
            std::vector<std::thread> callers;
            for (size_t i = 0; i < 8; ++i) callers.emplace_back(call, 5 * i);
            for (auto& caller : callers) caller.join();
            SAME(wrong == 0, "%s, %d threads: %d wrong numbers", k->name, threads, wrong.load());
            numbers += 8 * (1 + 3 + 17 + 40) * static_cast<long>(kClasses);
        }
        report(k->name, numbers);
    }
}

void test_networks_at_once_do_not_disturb_each_other() {
    const auto data = images();
    const auto& available = available_kernels();
    std::vector<std::unique_ptr<Network>> networks;
    std::vector<std::vector<float>> expected;
    for (size_t n = 0; n < 4; ++n) {
        networks.push_back(
            std::make_unique<Network>(available[n % available.size()]->name, static_cast<int>(1 + n)));
        (n % 2 ? build_codes : build)(*networks[n]);
        expected.emplace_back(kImages * kClasses);
        networks[n]->run(data.data(), kImages, expected[n].data());
    }
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (size_t i = 0; i < 8; ++i)
        callers.emplace_back([&, n = i % 4] {
            std::vector<float> answers(kImages * kClasses);
            for (int round = 0; round < 4; ++round) {
                networks[n]->run(data.data(), kImages, answers.data());
                if (answers != expected[n]) ++wrong;
            }
        });
    for (auto& caller : callers) caller.join();
    SAME(wrong == 0, "%d wrong answers", wrong.load());
}

void test_no_memory_is_taken_after_the_first_run(void (*build)(Network&)) {
    const auto data = images();
    std::vector<float> answers(kImages * kClasses);
    const size_t nothing_yet = allocations();
    const std::vector<char> counted(1);
    __asm__ volatile("" : : "r"(counted.data()) : "memory");  // Clang leaves out what nobody sees
    SAME(allocations() == nothing_yet + 1, "allocations are counted");
    for (int threads : {1, 2}) {
        Network network("", threads);
        build(network);
        network.run(data.data(), kImages, answers.data());
        const size_t before = allocations(), buffers = buffers_allocated();
        for (size_t count : {1, 2, 15, 40, 1}) network.run(data.data(), count, answers.data());
        SAME(allocations() == before, "%d threads: %zu allocations", threads, allocations() - before);
        SAME(buffers_allocated() == buffers, "%d threads", threads);
    }
}

void test_the_pool_runs_every_task_once_and_one_at_a_time_in_a_slot() {
    for (int round = 0; round < 300; ++round) {
        const size_t count = 1 + static_cast<size_t>(round) % 50;
        const int threads = 2 + round % 3;
        std::vector<std::atomic<int>> done(count), inside(static_cast<size_t>(threads));
        std::atomic<int> clashes{0};
        parallel_for(count, threads, [&](size_t i, int slot) {
            auto& here = inside[static_cast<size_t>(slot)];
            if (here.fetch_add(1) != 0) ++clashes;
            ++done[i];
            // A region inside a region runs where it stands.
            std::atomic<int> inner{0};
            parallel_for(3, threads, [&](size_t, int) { ++inner; });
            if (inner != 3) ++clashes;
            here.fetch_sub(1);
        });
        for (size_t i = 0; i < count; ++i) SAME(done[i] == 1, "task %zu of %zu", i, count);
        SAME(clashes == 0, "round %d", round);
        if (round % 50 == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
    }
}

void test_wrong_networks_are_refused() {
    using Wrong = std::invalid_argument;
    const auto one = [] { return PackedWeights{{}, 1, {0}}; };
    Network network("portable", 1);
    CHECK_THROWS_WITH_AS(network.finish(0), doctest::Contains("no input"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_input({}, "b1"), doctest::Contains("shape"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_input({3, 3}, "b1"), doctest::Contains("shape"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_input({3}, "b9"), doctest::Contains("encoding b9"), Wrong);
    const int x = network.add_input({4, 4, 3}, "b8");
    CHECK_THROWS_WITH_AS(network.add_input({3}, "b1"), doctest::Contains("one already"), Wrong);
    Window window{};
    window.kernel_height = 5;
    window.kernel_width = 1;
    CHECK_THROWS_WITH_AS(network.add_conv2d("c", x, one(), window, 1, 0), doctest::Contains("does not fit"),
                         Wrong);
    window.kernel_height = 1;
    CHECK_THROWS_WITH_AS(network.add_conv2d("c", x, one(), window, 2, 0), doctest::Contains("groups"), Wrong);
    window.top = 1;
    CHECK_THROWS_WITH_AS(network.add_conv2d("c", x, one(), window, 1, 2), doctest::Contains("pad_value 2"),
                         Wrong);
    CHECK_THROWS_WITH_AS(network.add_max_pool2d("m", x, window, {0, 0, 0}),
                         doctest::Contains("wholly in the padding"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_prelu("p", x, {1}), doctest::Contains("float32"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_relu("r", x), doctest::Contains("int32 or float32"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_threshold("t", x, {{1}, {}, {1}, {}}), doctest::Contains("per channel"),
                         Wrong);
    CHECK_THROWS_WITH_AS(network.add_affine("a", x, {{1}, {1}}), doctest::Contains("per channel"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_add("s", x, x), doctest::Contains("int32 or both float32"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_unflatten("u", x, {4, 4, 3}), doctest::Contains("vector"), Wrong);
    const int vector = network.add_flatten("f", network.add_affine("r", x, {{1, 1, 1}, {0, 0, 0}}));
    CHECK_THROWS_WITH_AS(network.add_unflatten("u", vector, {4, 4, 4}), doctest::Contains("as many"), Wrong);
    CHECK_THROWS_WITH_AS(network.add_unflatten("u", vector, {48, 1}), doctest::Contains("as many"), Wrong);
    CHECK_THROWS_WITH_AS(network.run(nullptr, 1, nullptr), doctest::Contains("finish()"), Wrong);
    CHECK_THROWS_WITH_AS(Network("sse9", 1), doctest::Contains("unknown instruction set"), Wrong);
}

}  // namespace

TEST_CASE("the pool runs every task once, and one at a time in a slot") {
    test_the_pool_runs_every_task_once_and_one_at_a_time_in_a_slot();
}

TEST_CASE("wrong networks are refused") {
    test_wrong_networks_are_refused();
}

TEST_CASE("answers are equal for all threads, batches and callers, and on every processor") {
    test_equal_answers_for_all_threads_batches_and_callers(build, 0xcdae4798460e4229);
    test_equal_answers_for_all_threads_batches_and_callers(build_codes, 0x5cd50258b571911d);
    test_equal_answers_for_all_threads_batches_and_callers(build_wide, 0xb2fbe97753c913ca);
}

TEST_CASE("networks at once do not disturb each other") {
    test_networks_at_once_do_not_disturb_each_other();
}

TEST_CASE("no memory is taken after the first run") {
    test_no_memory_is_taken_after_the_first_run(build);
    test_no_memory_is_taken_after_the_first_run(build_codes);
    test_no_memory_is_taken_after_the_first_run(build_wide);
}
