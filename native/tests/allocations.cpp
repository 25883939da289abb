// A file of its own: where compilers see both, they think that what operator new returns may not be freed.
#include "allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<size_t> taken{0};

size_t allocations() {
    return taken.load();
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Whatever takes memory from the heap, in whatever library, comes by here: other libraries see it too.
#pragma GCC visibility push(default)
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t bytes) {
    taken.fetch_add(1, std::memory_order_relaxed);
    return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
    taken.fetch_add(1, std::memory_order_relaxed);
    return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
    taken.fetch_add(1, std::memory_order_relaxed);
    return __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
    taken.fetch_add(1, std::memory_order_relaxed);
    return __libc_memalign(alignment, bytes);
}
}
#pragma GCC visibility pop
#else
// Sanitizers have a heap of their own; what C++ takes is counted still.
void* operator new(size_t bytes) {
    taken.fetch_add(1, std::memory_order_relaxed);
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
