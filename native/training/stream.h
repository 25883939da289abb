// Answers that are next read when all of them are there, and have left the cache by then: whole lines go past
// it, so that memory is not read before it is written.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace binarynet::training {

// `row` is aligned to 16 bytes.
inline void store_past_cache(const float* row, size_t count, float* to) {
#if defined(__SSE2__)
    if (count % 16 == 0 && reinterpret_cast<uintptr_t>(to) % 64 == 0) {
        for (size_t i = 0; i < count; i += 4) _mm_stream_ps(to + i, _mm_load_ps(row + i));
        return;
    }
#endif
    std::memcpy(to, row, count * sizeof(float));
}

// Ends a task that stores past the cache: another thread may read it from here on.
inline void stores_end() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

}  // namespace binarynet::training
