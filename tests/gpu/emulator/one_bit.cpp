// one_bit.cu on a CPU, as a shared library for tests/gpu/test_one_bit.py.
#include <hopper.h>
#include <one_bit.cu>

extern "C" void emulate(int ending, const TensorMap* x, const TensorMap* w, const Job* job, int blocks) {
    auto kernel = ending == SUMS ? one_bit_sums : ending == BITS ? one_bit_bits : one_bit_reals;
    launch(blocks, THREADS, [=] { kernel(*x, *w, *job); });
}
