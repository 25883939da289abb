// Networks under load: any number of callers, threads and batch sizes give the same answers; after the first
// run no memory is taken; every piece of work of the pool runs exactly once. Written for the sanitizers as
// much as for itself. That the answers are the right ones is the subject of tests/runtime, which has the
// oracle.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <thread>

#include "check.h"
#include "dispatch.h"
#include "network.h"

using namespace binarynet;

static std::atomic<size_t> allocations{0};

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Whatever takes memory from the heap, in whatever library, comes by here: other libraries see it too.
#pragma GCC visibility push(default)
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t bytes) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_memalign(alignment, bytes);
}
}
#pragma GCC visibility pop
#else
// Sanitizers have a heap of their own; what C++ takes is counted still.
void* operator new(size_t bytes) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}
#endif

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
    CHECK(digest(expected) == answers_digest, "the answers of every processor: %#llx",
          static_cast<unsigned long long>(digest(expected)));
    for (const Kernels* k : available_kernels()) {
        size_t compared = 0, different = 0;
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
            CHECK(wrong == 0, "%s, %d threads: %d wrong numbers", k->name, threads, wrong.load());
            compared += 8 * (1 + 3 + 17 + 40) * kClasses;
            different += static_cast<size_t>(wrong.load());
        }
        report(k->name, static_cast<int>(compared), static_cast<int>(different));
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
    CHECK(wrong == 0, "%d wrong answers", wrong.load());
}

void test_no_memory_is_taken_after_the_first_run(void (*build)(Network&)) {
    const auto data = images();
    std::vector<float> answers(kImages * kClasses);
    const size_t nothing_yet = allocations.load();
    const std::vector<char> counted(1);
    __asm__ volatile("" : : "r"(counted.data()) : "memory");  // Clang leaves out what nobody sees
    CHECK(allocations.load() == nothing_yet + 1, "allocations are counted");
    for (int threads : {1, 2}) {
        Network network("", threads);
        build(network);
        network.run(data.data(), kImages, answers.data());
        const size_t before = allocations.load(), buffers = buffers_allocated();
        for (size_t count : {1, 2, 15, 40, 1}) network.run(data.data(), count, answers.data());
        CHECK(allocations.load() == before, "%d threads: %zu allocations", threads,
              allocations.load() - before);
        CHECK(buffers_allocated() == buffers, "%d threads", threads);
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
        for (size_t i = 0; i < count; ++i) CHECK(done[i] == 1, "task %zu of %zu", i, count);
        CHECK(clashes == 0, "round %d", round);
        if (round % 50 == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
    }
}

void test_wrong_networks_are_refused() {
    using Wrong = std::invalid_argument;
    const auto one = [] { return PackedWeights{{}, 1, {0}}; };
    Network network("portable", 1);
    CHECK(throws<Wrong>([&] { network.finish(0); }, "no input"), "finish");
    CHECK(throws<Wrong>([&] { network.add_input({}, "b1"); }, "shape"), "shape");
    CHECK(throws<Wrong>([&] { network.add_input({3, 3}, "b1"); }, "shape"), "shape");
    CHECK(throws<Wrong>([&] { network.add_input({3}, "b9"); }, "encoding b9"), "encoding");
    const int x = network.add_input({4, 4, 3}, "b8");
    CHECK(throws<Wrong>([&] { network.add_input({3}, "b1"); }, "one already"), "second input");
    Window window{};
    window.kernel_height = 5;
    window.kernel_width = 1;
    CHECK(throws<Wrong>([&] { network.add_conv2d("c", x, one(), window, 1, 0); }, "does not fit"), "window");
    window.kernel_height = 1;
    CHECK(throws<Wrong>([&] { network.add_conv2d("c", x, one(), window, 2, 0); }, "groups"), "groups");
    window.top = 1;
    CHECK(throws<Wrong>([&] { network.add_conv2d("c", x, one(), window, 1, 2); }, "pad_value 2"),
          "pad_value");
    CHECK(throws<Wrong>([&] { network.add_max_pool2d("m", x, window, {0, 0, 0}); }, "wholly in the padding"),
          "pool");
    CHECK(throws<Wrong>([&] { network.add_prelu("p", x, {1}); }, "float32"), "prelu");
    CHECK(throws<Wrong>([&] { network.add_relu("r", x); }, "int32 or float32"), "relu");
    CHECK(throws<Wrong>([&] { network.add_threshold("t", x, {{1}, {}, {1}, {}}); }, "per channel"),
          "threshold");
    CHECK(throws<Wrong>([&] { network.add_affine("a", x, {{1}, {1}}); }, "per channel"), "affine");
    CHECK(throws<Wrong>([&] { network.add_add("s", x, x); }, "int32 or both float32"), "add");
    CHECK(throws<Wrong>([&] { network.run(nullptr, 1, nullptr); }, "finish()"), "run");
    CHECK(throws<Wrong>([] { Network("sse9", 1); }, "unknown instruction set"), "isa");
}

}  // namespace

int main() {
    test_the_pool_runs_every_task_once_and_one_at_a_time_in_a_slot();
    test_wrong_networks_are_refused();
    test_equal_answers_for_all_threads_batches_and_callers(build, 0xcdae4798460e4229);
    test_equal_answers_for_all_threads_batches_and_callers(build_codes, 0x5cd50258b571911d);
    test_networks_at_once_do_not_disturb_each_other();
    test_equal_answers_for_all_threads_batches_and_callers(build_wide, 0xb2fbe97753c913ca);
    test_no_memory_is_taken_after_the_first_run(build);
    test_no_memory_is_taken_after_the_first_run(build_codes);
    test_no_memory_is_taken_after_the_first_run(build_wide);
    return report("network_test");
}
