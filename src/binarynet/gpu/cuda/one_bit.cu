// Products of ±1 on the one-bit tensor cores of compute capability 9.0a: what they count is popcount(x & w).
//
//   dot = depth − 2 (|x| + |w| − 2 popcount(x & w)) = 4 popcount(x & w) − 2 |x| + base
//
// |x| of each row is counted beforehand; base = depth − 2 |w| of each channel (for a convolution, of each
// kind of border) comes from binarynet.gpu.product, which holds it for the int8 path as well. Zero bits add
// nothing, so tails and whatever the copy engine finds outside a matrix need no care.
//
// A block makes tiles of 128 rows × 256 channels, one after the other. One thread has the copy engine bring
// 1024 bits of depth of both operands (48 KB) into one of four stages; two warp groups multiply 64 rows each.
// While a tile is finished, the operands of the next are on their way.
#include <hopper.h>

constexpr int ROWS = 128, CHANNELS = 256, BYTES = 128, STAGES = 4, GROUP = 128, CONSUMERS = 2;
constexpr int THREADS = GROUP * (CONSUMERS + 1), WARPS = 4 * CONSUMERS, BAND = 8;

struct Stage {
    unsigned char x[ROWS * BYTES], w[CHANNELS * BYTES];
};
struct Shared {
    Stage stage[STAGES];
    Barrier full[STAGES], empty[STAGES];
};
struct Job {  // the fields of binarynet.gpu.one_bit.Job
    void* out;
    const int *ones, *base, *kinds, *thresholds;
    const signed char* rising;
    const float *scale, *offset;
    int rows, channels, steps, pixels;
};
enum Ending { SUMS, BITS, REALS };

struct Tile {
    int row, channel;
};
// Tiles go through bands of eight rows of tiles, so that those of one moment share what they read.
__device__ Tile tile_at(int number, const Job& job) {
    int down = (job.rows + ROWS - 1) / ROWS, across = (job.channels + CHANNELS - 1) / CHANNELS;
    int band = number / (BAND * across) * BAND, high = down - band < BAND ? down - band : BAND;
    int within = number - band * across;
    return {(band + within % high) * ROWS, within / high * CHANNELS};
}
__device__ int tiles_of(const Job& job) {
    return ((job.rows + ROWS - 1) / ROWS) * ((job.channels + CHANNELS - 1) / CHANNELS);
}

template <Ending ENDING>
__device__ void finish(const int (&sum)[128], Tile tile, int thread, const Job& job) {
    int quarter = thread % 4;  // four neighbours hold one row
    int row[2], ones[2];
    const int* base[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        row[half] = tile.row + thread / 32 * 16 + thread % 32 / 4 + 8 * half;
        bool live = row[half] < job.rows;
        ones[half] = live ? 2 * job.ones[row[half]] : 0;
        base[half] =
            job.base + (live && job.kinds
                            ? static_cast<long long>(job.kinds[row[half] % job.pixels]) * job.channels
                            : 0);
    }
    unsigned word[2] = {0, 0};
#pragma unroll
    for (int eight = 0; eight < CHANNELS / 8; eight++) {
#pragma unroll
        for (int two = 0; two < 2; two++) {
            int channel = tile.channel + 8 * eight + 2 * quarter + two;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (row[half] >= job.rows || channel >= job.channels) continue;
                int acc = 4 * sum[4 * eight + 2 * half + two] - ones[half] + base[half][channel];
                long long at = static_cast<long long>(row[half]) * job.channels + channel;
                if (ENDING == SUMS) static_cast<int*>(job.out)[at] = acc;
                if (ENDING == REALS)  // one rounded multiply, one rounded add, as on the CPU
                    static_cast<float*>(job.out)[at] = __fadd_rn(
                        __fmul_rn(static_cast<float>(acc), job.scale[channel]), job.offset[channel]);
                if (ENDING == BITS && (acc >= job.thresholds[channel]) == (job.rising[channel] != 0))
                    word[half] |= 1u << (8 * (eight % 4) + 2 * quarter + two);
            }
        }
        if (ENDING == BITS &&
            eight % 4 == 3) {  // the words are full: the neighbours' bits, and one of them stores them
            int words = (job.channels + 63) / 64 * 2, place = tile.channel / 32 + eight / 4;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                word[half] |= __shfl_xor_sync(~0u, word[half], 1);
                word[half] |= __shfl_xor_sync(~0u, word[half], 2);
                if (row[half] < job.rows && place < words && quarter == eight / 4 % 4)
                    static_cast<unsigned*>(job.out)[static_cast<long long>(row[half]) * words + place] =
                        word[half];
                word[half] = 0;
            }
        }
        in_order();  // else all loads of a row come first, and there are not the registers to hold them
    }
}

__device__ void bring(Shared& shared, const TensorMap& x, const TensorMap& w, const Job& job) {
    int turn = 0;
    for (int number = blockIdx.x; number < tiles_of(job); number += gridDim.x) {
        Tile tile = tile_at(number, job);
        for (int step = 0; step < job.steps; step++, turn++) {
            int at = turn % STAGES, round = turn / STAGES;
            if (round) wait(shared.empty[at], (round - 1) & 1);
            arrive_expecting(shared.full[at], sizeof(Stage));
            copy(shared.stage[at].x, x, step * BYTES, tile.row, shared.full[at]);
            copy(shared.stage[at].w, w, step * BYTES, tile.channel, shared.full[at]);
        }
    }
}

template <Ending ENDING>
__device__ void multiply(Shared& shared, const Job& job) {
    int group = threadIdx.x / GROUP, thread = threadIdx.x % GROUP, turn = 0;
    int sum[128];
    for (int number = blockIdx.x; number < tiles_of(job); number += gridDim.x) {
        Tile tile = tile_at(number, job);
        for (int step = 0; step < job.steps; step++, turn++) {
            int at = turn % STAGES;
            wait(shared.full[at], turn / STAGES & 1);
            unsigned long long x = operand(shared.stage[at].x + group * 64 * BYTES),
                               w = operand(shared.stage[at].w);
            begin_products();
#pragma unroll
            for (int part = 0; part < BYTES / 32; part++)
                count_common(sum, x + 2 * part, w + 2 * part, step + part);
            end_products();
            await_products<1>();  // those of the step before are done: its stage may be filled again
            if (step && thread % 32 == 0) arrive(shared.empty[(turn - 1) % STAGES]);
        }
        await_products<0>();
        settle(sum);
        if (thread % 32 == 0) arrive(shared.empty[(turn - 1) % STAGES]);
        finish<ENDING>(sum, {tile.row + group * 64, tile.channel}, thread, job);
    }
}

template <Ending ENDING>
__device__ void run(const TensorMap& x, const TensorMap& w, const Job& job) {
    Shared& shared = *static_cast<Shared*>(shared_memory(1024));
    if (threadIdx.x == 0) {
        for (int at = 0; at < STAGES; at++) {
            initialize(shared.full[at], 1);
            initialize(shared.empty[at], WARPS);
        }
        publish_barriers();
    }
    __syncthreads();
    if (threadIdx.x == CONSUMERS * GROUP)
        bring(shared, x, w, job);
    else if (threadIdx.x < CONSUMERS * GROUP)
        multiply<ENDING>(shared, job);
}

#define KERNEL(name, ending)                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                            \
        name(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap w, const Job job) { \
        run<ending>(x, w, job);                                                                         \
    }
KERNEL(one_bit_sums, SUMS)
KERNEL(one_bit_bits, BITS)
KERNEL(one_bit_reals, REALS)
