#include "threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace binarynet {

namespace {

using Clock = std::chrono::steady_clock;

// A worker that runs out of work watches for more that long before it sleeps: longer than the gap between two
// layers, shorter than what a sleeping worker costs the next region.
constexpr auto kWatch = std::chrono::microseconds(60);

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// The region that runs now, in one word: 8 bits of threads that may join, and 28 each of the first task that
// is not yet claimed and of the first behind those. The caller claims from the end, workers from the begin:
// when a region runs again, two threads have the same tasks, and find their part of the weights in their
// caches.
struct Ticket {
    static constexpr uint64_t kMost = (uint64_t{1} << 28) - 1;

    int threads;
    uint64_t begin, end;

    explicit Ticket(uint64_t word)
        : threads(static_cast<int>(word >> 56)), begin(word >> 28 & kMost), end(word & kMost) {}
    Ticket(int threads, uint64_t count) : threads(threads), begin(0), end(count) {}

    uint64_t word() const { return static_cast<uint64_t>(threads) << 56 | begin << 28 | end; }
    bool has_work(int slot) const { return begin < end && slot < threads; }
    size_t claim(int slot) { return slot ? begin++ : --end; }
};

class Pool {
 public:
    // False: the pool is busy and nothing was done.
    bool run(size_t count, int threads, Task task, void* context) {
        if (busy_.test_and_set(std::memory_order_acquire)) return false;
        grow(threads - 1);
        task_.store(task, std::memory_order_relaxed);
        context_.store(context, std::memory_order_relaxed);
        pending_.store(count, std::memory_order_relaxed);
        ticket_.store(Ticket(threads, count).word());
        if (sleeping_.load()) {
            const std::lock_guard<std::mutex> lock(mutex_);
            wake_.notify_all();
        }
        while (work(0)) {
        }
        for (int spins = 0; pending_.load(std::memory_order_acquire); ++spins) {
            pause();
            if (spins > 2000) sched_yield();  // the worker may need this very CPU
        }
        busy_.clear(std::memory_order_release);
        return true;
    }

 private:
    // Claim and run one task; false if there is none for this slot.
    bool work(int slot) {
        uint64_t word = ticket_.load(std::memory_order_acquire);
        for (;;) {
            Ticket ticket(word);
            if (!ticket.has_work(slot)) return false;
            const size_t index = ticket.claim(slot);
            if (!ticket_.compare_exchange_weak(word, ticket.word(), std::memory_order_acq_rel)) continue;
            // Read after the claim: the region whose task this is cannot end, nor another begin, before it is
            // done.
            const Task task = task_.load(std::memory_order_relaxed);
            task(context_.load(std::memory_order_relaxed), index, slot);
            pending_.fetch_sub(1, std::memory_order_release);
            return true;
        }
    }

    bool has_work(int slot) const { return Ticket(ticket_.load()).has_work(slot); }

    void serve(int slot) {
        for (;;) {
            const auto idle = Clock::now();
            for (int spins = 1; !work(slot); ++spins) {
                pause();
                if (spins % 64 == 0 && Clock::now() - idle > kWatch) {
                    std::unique_lock<std::mutex> lock(mutex_);
                    ++sleeping_;
                    wake_.wait(lock, [&] { return has_work(slot); });
                    --sleeping_;
                    break;
                }
            }
        }
    }

    void grow(int workers) {
        for (; workers_ < workers; ++workers_) {
            try {
                std::thread([this, slot = workers_ + 1] { serve(slot); }).detach();
            } catch (const std::system_error&) {
                return;  // the system has no more threads to give: fewer do the same work
            }
        }
    }

    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    std::atomic<uint64_t> ticket_{0};
    std::atomic<Task> task_{nullptr};
    std::atomic<void*> context_{nullptr};
    std::atomic<size_t> pending_{0};
    std::atomic<int> sleeping_{0};
    std::mutex mutex_;
    std::condition_variable wake_;
    int workers_ = 0;
};

// Never destroyed: workers may still watch it while the process ends. After fork() the child has none of the
// workers, and its copy may be in any state, so it begins with a new one.
std::atomic<Pool*> shared_pool{nullptr};

Pool& pool() {
    Pool* current = shared_pool.load(std::memory_order_acquire);
    if (current) return *current;
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { shared_pool.store(nullptr); }); });
    Pool* fresh = new Pool;
    if (shared_pool.compare_exchange_strong(current, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
    return *current;
}

int from_environment(const char* name) {
    const char* text = std::getenv(name);
    if (!text || !*text) return 0;
    char* end;
    const long value = std::strtol(text, &end, 10);
    // OMP_NUM_THREADS may list one number per level of nesting; the first is the outermost.
    if (value < 1 || (*end && *end != ','))
        throw std::invalid_argument(std::string(name) + "=" + text + " is not a positive number of threads");
    return static_cast<int>(std::min<long>(value, kMaxThreads));
}

// CPUs a second that a cgroup grants, rounded up; 0 if it does not say.
int cgroup_quota() {
    int cpus = 0;
    if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
        double quota, period;
        if (std::fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0)
            cpus = static_cast<int>(quota / period + 0.999);
        std::fclose(file);
    }
    return cpus;
}

}  // namespace

int default_threads() {
    for (const char* name : {"BINARYNET_NUM_THREADS", "OMP_NUM_THREADS"})
        if (const int threads = from_environment(name)) return threads;
    int threads = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) threads = CPU_COUNT(&allowed);
#endif
    if (const int quota = cgroup_quota()) threads = std::min(threads, quota);
    return std::clamp(threads, 1, kMaxThreads);
}

void run_tasks(size_t count, int threads, Task task, void* context) {
    if (threads > 1 && count > 1 && count <= Ticket::kMost &&
        pool().run(count, std::min(threads, kMaxThreads), task, context))
        return;
    for (size_t i = 0; i < count; ++i) task(context, i, 0);
}

}  // namespace binarynet
