// The few instructions of compute capability 9.0a that one_bit.cu is made of, one function each: PTX,
// "Parallel Thread Execution ISA", sections on mbarrier, cp.async.bulk.tensor and wgmma.
// tests/gpu/emulator/hopper.h has the same functions in plain C++, by which the kernel runs on a CPU.
#pragma once

using Barrier = unsigned long long;
struct alignas(64) TensorMap {  // CUtensorMap, which cuTensorMapEncodeTiled fills
    unsigned char opaque[128];
};

__device__ __forceinline__ unsigned address(const void* shared) {
    return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

// The block's dynamic shared memory, from the first multiple of ``alignment`` on.
__device__ __forceinline__ void* shared_memory(unsigned alignment) {
    extern __shared__ unsigned char raw[];
    return raw + (alignment - address(raw) % alignment) % alignment;
}

// What is written after this is not done before it.
__device__ __forceinline__ void in_order() {
    asm volatile("" ::: "memory");
}

__device__ __forceinline__ void initialize(Barrier& barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address(&barrier)), "r"(arrivals)
                 : "memory");
}

// The copy engine, too, sees the barriers that this thread has initialized.
__device__ __forceinline__ void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(Barrier& barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address(&barrier)) : "memory");
}

// Arrives, and makes the phase last until so many bytes have come.
__device__ __forceinline__ void arrive_expecting(Barrier& barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address(&barrier)), "r"(bytes)
                 : "memory");
}

// Until the phase of this parity is over.
__device__ __forceinline__ void wait(Barrier& barrier, int parity) {
    asm volatile(
        "{\n.reg .pred over;\n"
        "again:\nmbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n@!over bra again;\n}\n" ::"r"(
            address(&barrier)),
        "r"(parity)
        : "memory");
}

// A box of a matrix of bytes from (byte, row) on, as the map says; what lies outside the matrix comes as
// zeros.
__device__ __forceinline__ void copy(void* to, const TensorMap& map, int byte, int row, Barrier& barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
        "[%4];" ::"r"(address(to)),
        "l"(&map), "r"(byte), "r"(row), "r"(address(&barrier))
        : "memory");
}

// Rows of 128 bytes (depth runs along them) in groups of eight, 1024 bytes apart; the copy engine and the
// tensor cores exchange the 16-byte pieces of a row in the same way (128-byte swizzle). 32 bytes further are
// ``+ 2``.
__device__ __forceinline__ unsigned long long operand(const void* shared) {
    return static_cast<unsigned long long>((address(shared) & 0x3ffff) >> 4) | 1ull << 16 | 64ull << 32 |
           1ull << 62;
}

__device__ __forceinline__ void begin_products() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void end_products() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most PENDING groups of products of this warp group are not done.
template <int PENDING>
__device__ __forceinline__ void await_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// After the wait: the compiler may read the sums from here on, not before.
__device__ __forceinline__ void settle(int (&sum)[128]) {
#pragma unroll
    for (int i = 0; i < 128; i++) asm volatile("" : "+r"(sum[i])::"memory");
}

#define REGISTERS_8(d, i)                                                                       \
    "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3]), "+r"(d[i + 4]), "+r"(d[i + 5]), \
        "+r"(d[i + 6]), "+r"(d[i + 7])
#define REGISTERS_32(d, i) \
    REGISTERS_8(d, i), REGISTERS_8(d, i + 8), REGISTERS_8(d, i + 16), REGISTERS_8(d, i + 24)
#define REGISTERS_128(d) REGISTERS_32(d, 0), REGISTERS_32(d, 32), REGISTERS_32(d, 64), REGISTERS_32(d, 96)
#define NUMBERS_128                                                                                          \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "  \
    "%22, %23, "                                                                                             \
    "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, "   \
    "%44, %45, "                                                                                             \
    "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, "   \
    "%66, %67, "                                                                                             \
    "%68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, "   \
    "%88, %89, "                                                                                             \
    "%90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, "     \
    "%108, %109, "                                                                                           \
    "%110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, " \
    "%127}"
#define PRODUCT(shape_and_types)                                                                       \
    asm volatile(                                                                                      \
        "{\n.reg .pred add;\nsetp.ne.b32 add, %130, 0;\nwgmma.mma_async.sync.aligned." shape_and_types \
        " " NUMBERS_128 ", %128, %129, add;\n}\n"                                                      \
        : REGISTERS_128(sum)                                                                           \
        : "l"(left), "l"(right), "r"(add))

// sum (64 rows, 256 columns) = popcount(left & right) over 256 bits of depth, on top of what was there if
// ``add``. Thread t of the warp group holds rows 16 (t / 32) + (t % 32) / 4 and eight further, of every 8
// columns the two from 2 (t % 4): sum[4 j + 2 h + b] is row + 8 h, column 8 j + 2 (t % 4) + b.
__device__ __forceinline__ void count_common(int (&sum)[128], unsigned long long left,
                                             unsigned long long right, int add) {
    PRODUCT("m64n256k256.s32.b1.b1.and.popc");
}

// The same shape on bytes, 32 of them deep: benchmarks/gpu/mma_rate.cu compares the two.
__device__ __forceinline__ void multiply_octets(int (&sum)[128], unsigned long long left,
                                                unsigned long long right, int add) {
    PRODUCT("m64n256k32.s32.s8.s8");
}
