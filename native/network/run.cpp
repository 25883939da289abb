#include <time.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "base/memory.h"
#include "base/threads.h"
#include "kernels/dispatch.h"
#include "network.h"

namespace binarynet {

namespace {

using Clock = std::chrono::steady_clock;

// What a step took, on the clock; where it was long and one thread ran it, what the thread had of a
// processor, as others may have had it meanwhile. That clock is asked outside of the other: it takes a call
// of the system.
class Stopwatch {
 public:
    explicit Stopwatch(bool alone) : alone_(alone), had_(had()), begin_(Clock::now()) {}

    double seconds() const {
        const double passed = std::chrono::duration<double>(Clock::now() - begin_).count();
        return alone_ && passed > kLong ? std::min(passed, had() - had_) : passed;
    }

 private:
    static constexpr double kLong = 100e-6;

    double had() const {
#if defined(__linux__)
        timespec t;
        if (alone_ && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
            return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
#endif
        return alone_ ? std::chrono::duration<double>(Clock::now().time_since_epoch()).count() : 0;
    }

    bool alone_;
    double had_;
    Clock::time_point begin_;
};

}  // namespace

// Memory of one run: activations of up to `images` images, and scratch for every slot.
struct Network::Arena {
    Arena(const Network& network, size_t images, int threads)
        : images(images),
          threads(threads),
          offsets(network.values_.size()),
          activations(network.schedule_.place(images, static_cast<size_t>(threads), offsets.data())),
          memory(activations + checked_product(network.scratch_bytes_, static_cast<size_t>(threads))),
          values(network.values_.size()) {}

    size_t images;
    int threads;
    std::vector<size_t> offsets;  // of values
    size_t activations;           // bytes before the scratch
    Buffer memory;
    std::vector<void*> values;
    bool downwards = false;
};

Network::Network(const std::string& isa, int threads, const std::string& kernel)
    : kernels_(isa.empty() ? active_kernels() : kernels_named(isa)),
      threads_(threads > 0 ? std::min(threads, kMaxThreads) : default_threads()),
      forced_(kernel.empty() ? kernel_from_environment() : kernel_named(kernel)) {
    if (forced_ && !has(kernels_, *forced_))
        throw std::invalid_argument("the instruction set '" + std::string(kernels_.name) +
                                    "' has no kernel '" + name_of(*forced_) + "'");
}

Network::~Network() {
    for (auto& slot : spare_) delete slot.load();
}

bool Network::input_is_float() const {
    return value(input_).store == Value::f32;
}
bool Network::output_is_float() const {
    return value(output_).store == Value::f32;
}
size_t Network::output_numbers() const {
    return value(output_).numbers();
}

std::unique_ptr<Network::Arena> Network::take_arena(size_t images, int threads) {
    std::unique_ptr<Arena> small;
    for (auto& slot : spare_) {
        std::unique_ptr<Arena> arena(slot.exchange(nullptr, std::memory_order_acq_rel));
        if (arena && arena->images >= images && arena->threads >= threads) {
            if (small) give_back(std::move(small));
            return arena;
        }
        if (small) give_back(std::move(small));
        small = std::move(arena);
    }
    small.reset();  // a larger one takes its place
    return std::make_unique<Arena>(*this, images, threads);
}

void Network::give_back(std::unique_ptr<Arena> arena) {
    for (auto& slot : spare_) {
        Arena* none = nullptr;
        if (!slot.compare_exchange_strong(none, arena.get(), std::memory_order_acq_rel)) continue;
        (void)arena.release();
        return;
    }
}

bool Network::are_codes(const uint8_t* bytes, size_t count) const {
    const Value& input = value(input_);
    if (input.store != Value::codes || input.code.bits == 8) return true;
    uint8_t any = 0;
    for (size_t i = 0; i < count; ++i) any |= bytes[i];
    return any <= input.code.largest();
}

void Network::run_chunk(Arena& arena, const uint8_t* input, size_t images, uint8_t* output, int threads,
                        double* seconds) {
    uint8_t* const memory = arena.memory.as<uint8_t>();
    arena.downwards = !arena.downwards;
    for (const Schedule::Stage& stage : schedule_.stages()) {
        const size_t parts = schedule_.parts(stage, images, threads);
        for (size_t part = 0; part < parts; ++part) {
            const size_t first = images * part / parts, count = images * (part + 1) / parts - first;
            for (size_t i = 0; i < values_.size(); ++i) {
                const int number = schedule_.root(i);
                const size_t skipped = schedule_.crosses(number) ? first * schedule_.bytes(number) : 0;
                if (number == input_)
                    arena.values[i] = const_cast<uint8_t*>(input) + skipped;  // no step writes to the input
                else if (number == schedule_.root(static_cast<size_t>(output_)))
                    arena.values[i] = output + skipped;
                else
                    arena.values[i] = memory + arena.offsets[static_cast<size_t>(number)] + skipped;
            }
            const Frame frame{kernels_,       weight_bytes_,       count,
                              threads,        arena.values.data(), memory + arena.activations,
                              scratch_bytes_, arena.downwards};
            for (size_t i = stage.begin; i < stage.end; ++i) {
                if (!seconds) {
                    steps_[i]->run(frame);
                    continue;
                }
                const Stopwatch watch(threads == 1);
                steps_[i]->run(frame);
                seconds[i] += watch.seconds();
            }
        }
    }
}

bool Network::run(const void* input, size_t images, void* output, double* seconds) {
    if (!finished()) throw std::invalid_argument("finish() the network before it runs");
    if (!images) return true;
    std::atomic<bool> fit{true};
    const size_t output_bytes = value(output_).bytes();
    const Chunks cut = chunks(images);
    auto chunk = [&](Arena& arena, size_t i, double* times) {
        const size_t begin = images * i / cut.count, end = images * (i + 1) / cut.count;
        const uint8_t* first = static_cast<const uint8_t*>(input) + begin * input_bytes_;
        if (!are_codes(first, (end - begin) * input_bytes_)) return fit.store(false);
        run_chunk(arena, first, end - begin, static_cast<uint8_t*>(output) + begin * output_bytes,
                  cut.threads, times);
    };
    if (cut.workers == 1) {
        auto arena = take_arena(cut.most, threads_);
        for (size_t i = 0; i < cut.count; ++i) chunk(*arena, i, seconds);
        give_back(std::move(arena));
        return fit.load();
    }
    std::array<std::unique_ptr<Arena>, kMaxThreads> arenas;
    // The first has scratch for every thread, so that a later call with few images finds it large enough.
    for (size_t slot = 0; slot < cut.workers; ++slot)
        arenas[slot] = take_arena(cut.most, slot ? 1 : threads_);
    std::vector<double> times(seconds ? cut.workers * steps_.size() : 0);
    parallel_for(cut.count, threads_, [&](size_t i, int slot) {
        const auto place = static_cast<size_t>(slot);
        chunk(*arenas[place], i, seconds ? &times[place * steps_.size()] : nullptr);
    });
    for (size_t i = 0; i < times.size(); ++i)
        seconds[i % steps_.size()] += times[i] / static_cast<double>(cut.workers);
    for (size_t slot = 0; slot < cut.workers; ++slot) give_back(std::move(arenas[slot]));
    return fit.load();
}

}  // namespace binarynet
