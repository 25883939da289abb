// src/binarynet/gpu/cuda/hopper.h in plain C++: a thread for each thread of a block, shared memory that is
// full of nonsense at first, the copy engine with its swizzle and zeros, barriers with phases and bytes, and
// the one-bit product as PTX describes it. Products are done as late as a program may rely on: when they are
// waited for.
#pragma once
#include <barrier>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

struct Index {
    int x;
};
inline thread_local Index threadIdx, blockIdx, gridDim;

struct Block {
    static constexpr int BYTES = 227 * 1024;
    int threads;
    std::unique_ptr<std::uint8_t[]> memory{new std::uint8_t[BYTES + 1024]};
    std::barrier<> all;
    std::vector<std::unique_ptr<std::barrier<>>> warps;
    std::vector<unsigned> lanes;
    std::mutex lock;
    std::condition_variable changed;

    explicit Block(int count) : threads(count), all(count), lanes(count) {
        std::memset(memory.get(), 0xa5, BYTES + 1024);
        for (int warp = 0; warp < count / 32; warp++) warps.push_back(std::make_unique<std::barrier<>>(32));
    }
    std::uint8_t* start() const {  // its address 0, as far from a multiple of 1024 as a compiler may put it
        auto at = reinterpret_cast<std::uintptr_t>(memory.get());
        return memory.get() + (1024 - at % 1024) % 1024;
    }
};
inline Block* block;

inline std::barrier<>& warp() {
    return *block->warps[threadIdx.x / 32];
}
inline void __syncthreads() {
    block->all.arrive_and_wait();
}
inline unsigned __shfl_xor_sync(unsigned, unsigned value, int distance) {
    block->lanes[threadIdx.x] = value;
    warp().arrive_and_wait();
    unsigned other = block->lanes[threadIdx.x ^ distance];
    warp().arrive_and_wait();
    return other;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}

struct TensorMap {
    const std::uint8_t* data;
    long rows, width, pitch;
    int box_rows;
};
struct Barrier {
    int arrivals, missing, bytes, phase;
};

inline void* shared_memory(unsigned alignment) {
    unsigned raw = 16;  // where dynamic shared memory could begin
    return block->start() + raw + (alignment - raw % alignment) % alignment;
}
inline unsigned address(const void* shared) {
    return static_cast<unsigned>(static_cast<const std::uint8_t*>(shared) - block->start());
}
inline void in_order() {}
inline void publish_barriers() {}
inline void settle(int (&)[128]) {}

inline void initialize(Barrier& barrier, int arrivals) {
    barrier = {arrivals, arrivals, 0, 0};
}
inline void advance(Barrier& barrier) {
    if (barrier.missing == 0 && barrier.bytes == 0) {
        barrier.phase++;
        barrier.missing = barrier.arrivals;
        block->changed.notify_all();
    }
}
inline void arrive_expecting(Barrier& barrier, int bytes) {
    std::lock_guard held(block->lock);
    barrier.bytes += bytes;
    barrier.missing--;
    advance(barrier);
}
inline void arrive(Barrier& barrier) {
    arrive_expecting(barrier, 0);
}
inline void wait(Barrier& barrier, int parity) {
    std::unique_lock held(block->lock);
    block->changed.wait(held, [&] { return barrier.phase % 2 != parity; });
}

// 128-byte swizzle: bits 4 to 6 of an address in shared memory are xored with bits 7 to 9.
inline std::uint8_t& swizzled(unsigned at) {
    return block->start()[at ^ (at >> 7 & 7) << 4];
}

inline void copy(void* to, const TensorMap& map, int byte, int row, Barrier& barrier) {
    for (int r = 0; r < map.box_rows; r++)
        for (int b = 0; b < 128; b++) {
            bool inside = row + r < map.rows && byte + b < map.width;
            swizzled(address(to) + 128 * r + b) = inside ? map.data[(row + r) * map.pitch + byte + b] : 0;
        }
    std::lock_guard held(block->lock);
    barrier.bytes -= 128 * map.box_rows;
    advance(barrier);
}

inline unsigned long long operand(const void* shared) {
    return (address(shared) & 0x3ffff) >> 4 | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

struct Product {
    int* sum;
    unsigned long long left, right;
    int add;
};
inline thread_local std::deque<std::vector<Product>> groups;
inline thread_local std::vector<Product> open_group;

// 256 bits of a row: 32 bytes from the descriptor's start, groups of eight rows as far apart as it says.
inline void row_of(unsigned long long descriptor, int row, std::uint64_t (&bits)[4]) {
    unsigned start = (descriptor & 0x3fff) << 4, apart = (descriptor >> 32 & 0x3fff) << 4;
    std::uint8_t bytes[32];
    for (int b = 0; b < 32; b++) bytes[b] = swizzled(start + row / 8 * apart + row % 8 * 128 + b);
    std::memcpy(bits, bytes, 32);
}
inline void perform(const Product& product) {
    int thread = threadIdx.x % 128;
    for (int half = 0; half < 2; half++) {
        std::uint64_t left[4], right[4];
        row_of(product.left, thread / 32 * 16 + thread % 32 / 4 + 8 * half, left);
        for (int eight = 0; eight < 32; eight++)
            for (int two = 0; two < 2; two++) {
                row_of(product.right, 8 * eight + 2 * (thread % 4) + two, right);
                int &sum = product.sum[4 * eight + 2 * half + two], common = 0;
                for (int i = 0; i < 4; i++) common += __builtin_popcountll(left[i] & right[i]);
                sum = (product.add ? sum : 0) + common;
            }
    }
}
inline void begin_products() {}
inline void count_common(int (&sum)[128], unsigned long long left, unsigned long long right, int add) {
    open_group.push_back({sum, left, right, add});
}
inline void end_products() {
    groups.push_back(open_group);
    open_group.clear();
}
template <int PENDING>
void await_products() {
    while (groups.size() > PENDING) {
        for (const Product& product : groups.front()) perform(product);
        groups.pop_front();
    }
    warp().arrive_and_wait();  // a warp waits as one
}

inline void launch(int blocks, int threads, const std::function<void()>& kernel) {
    for (int number = 0; number < blocks; number++) {
        Block made(threads);
        block = &made;
        std::vector<std::thread> running;
        for (int thread = 0; thread < threads; thread++)
            running.emplace_back([=, &kernel] {
                threadIdx = {thread}, blockIdx = {number}, gridDim = {blocks};
                kernel();
            });
        for (std::thread& one : running) one.join();
    }
}
