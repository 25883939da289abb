#include "memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

namespace binarynet {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;
std::atomic<size_t> allocated{0};

}  // namespace

size_t checked_product(size_t a, size_t b) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product) || product > SIZE_MAX / 2)
        throw std::length_error("a size of " + std::to_string(a) + " × " + std::to_string(b) +
                                " does not fit memory");
    return product;
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
    if (!bytes) return;
    // 2 MB of weights on 4 KB pages are 512 address translations a pass, more than a core keeps at hand.
    const bool large = bytes >= kHugePage / 2;
    const size_t alignment = large ? kHugePage : kLine;
    if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
    const size_t rounded = round_up(bytes, alignment);
    data_ = static_cast<uint8_t*>(std::aligned_alloc(alignment, rounded));
    if (!data_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    // What is less than half of a page at the end is not worth one.
    if (large) madvise(data_, (bytes + kHugePage / 2) / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    std::memset(data_, 0, bytes);
    allocated.fetch_add(1, std::memory_order_relaxed);
}

Buffer::~Buffer() {
    std::free(data_);
}

size_t buffers_allocated() {
    return allocated.load();
}

}  // namespace binarynet
