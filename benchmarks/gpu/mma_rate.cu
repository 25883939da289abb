// How many multiply-adds a clock the tensor cores make, by instruction: one block a multiprocessor, two warp
// groups (or sixteen warps) that issue the same product again and again into their own sums. rate.py reads
// the clocks.
#include <hopper.h>

struct Result {
    int* sums;
    long long* clocks;
    int loops;
};

template <class Work>
__device__ void timed(const Result& result, Work work) {
    __syncthreads();
    long long start = clock64();
    int sum = work();
    long long end = clock64();
    result.sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;  // else the compiler leaves the work out
    if (threadIdx.x == 0) result.clocks[blockIdx.x] = end - start;
}

// Operands full of bits that follow no pattern: zeros would be multiplied in less power.
__device__ unsigned noise(unsigned x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

template <bool ONE_BIT>
__device__ void group_products(const Result& result) {
    unsigned char* memory = static_cast<unsigned char*>(shared_memory(1024));
    for (int i = threadIdx.x; i < 49152 / 4; i += blockDim.x)
        reinterpret_cast<unsigned*>(memory)[i] = noise(i);
    asm volatile("fence.proxy.async.shared::cta;" ::
                     : "memory");  // the tensor cores see what threads have stored
    __syncthreads();
    unsigned long long left = operand(memory + threadIdx.x / 128 * 8192), right = operand(memory + 16384);
    int sum[128];
    timed(result, [&] {
        for (int loop = 0; loop < result.loops; loop++) {
            begin_products();
#pragma unroll
            for (int part = 0; part < 4; part++) {
                if (ONE_BIT)
                    count_common(sum, left + 2 * part, right + 2 * part, loop + part);
                else
                    multiply_octets(sum, left + 2 * part, right + 2 * part, loop + part);
            }
            end_products();
            await_products<0>();
        }
        settle(sum);
        int all = 0;
#pragma unroll
        for (int i = 0; i < 128; i++) all ^= sum[i];
        return all;
    });
}

// The instruction of one warp, 16 × 8 sums, eight of them under way.
#define WARP_PRODUCTS(name, instruction)                                                                \
    extern "C" __global__ void __launch_bounds__(512, 1) name(Result result) {                          \
        unsigned a[4], b[2];                                                                            \
        for (int i = 0; i < 4; i++) a[i] = noise(threadIdx.x * 8 + i);                                  \
        for (int i = 0; i < 2; i++) b[i] = noise(threadIdx.x * 8 + 4 + i);                              \
        int d[8][4] = {};                                                                               \
        timed(result, [&] {                                                                             \
            for (int loop = 0; loop < result.loops; loop++)                                             \
                _Pragma("unroll") for (int c = 0; c < 8; c++) asm volatile(                             \
                    instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" :    \
                    "+r"(d[c][0]), "+r"(d[c][1]), "+r"(d[c][2]), "+r"(d[c][3]) : "r"(a[0]), "r"(a[1]),  \
                    "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                        \
            int all = 0;                                                                                \
            _Pragma("unroll") for (int c = 0; c < 8; c++) all ^= d[c][0] ^ d[c][1] ^ d[c][2] ^ d[c][3]; \
            return all;                                                                                 \
        });                                                                                             \
    }

extern "C" __global__ void __launch_bounds__(256, 1) group_one_bit(Result result) {
    group_products<true>(result);
}
extern "C" __global__ void __launch_bounds__(256, 1) group_octets(Result result) {
    group_products<false>(result);
}
WARP_PRODUCTS(warp_and, "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc")
WARP_PRODUCTS(warp_xor, "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc")
WARP_PRODUCTS(warp_octets, "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32")
