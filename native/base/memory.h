// Memory for weights, tables and activations: aligned to a cache line, and to huge pages where it is large.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <utility>

namespace binarynet {

constexpr size_t kLine = 64;  // bytes of a line of the cache

// Sizes multiply here, and nowhere else unchecked. Throws std::length_error when the product does not fit.
size_t checked_product(size_t a, size_t b);
inline constexpr size_t round_up(size_t value, size_t step) {
    return (value + step - 1) / step * step;
}

class Buffer {
 public:
    Buffer() = default;
    // Zero-filled. Throws std::bad_alloc.
    explicit Buffer(size_t bytes);
    ~Buffer();
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    size_t bytes() const { return bytes_; }

    template <typename T>
    T* as() {
        return reinterpret_cast<T*>(data_);
    }
    template <typename T>
    const T* as() const {
        return reinterpret_cast<const T*>(data_);
    }

 private:
    uint8_t* data_ = nullptr;
    size_t bytes_ = 0;
};

// How often a Buffer has taken memory since the process began: a run that reuses all of its memory adds
// nothing.
size_t buffers_allocated();

}  // namespace binarynet
