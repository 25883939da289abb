// The tile registers of a matrix unit: 8 of 16 rows × 64 bytes. Only for files compiled for AMX; all with
// internal linkage, as in bits.h.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

namespace binarynet {
namespace {

constexpr size_t kTileRows = 16, kTile = kTileRows * kLine;

// GCC's tile intrinsics do not say, or not in full, what memory they read or write: it must have been written
// by now.
inline void fence(const void* data) {
    __asm__ volatile("" : : "r"(data) : "memory");
}

// The registers, for one call or task: 0 … 3 sums, 4 and 5 left, 6 and 7 right. `height`: rows of sums and
// left. Released at once, so that a thread that is switched out has no 8 KB of tiles to save.
class Tiles {
 public:
    explicit Tiles(size_t height = kTileRows) {
        struct alignas(kLine) {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t bytes_per_row[16] = {};
            uint8_t rows[16] = {};
        } config;
        for (int t = 0; t < 8; ++t) {
            config.bytes_per_row[t] = kLine;
            config.rows[t] = static_cast<uint8_t>(t < 6 ? height : kTileRows);
        }
        fence(&config);
        _tile_loadconfig(&config);
    }
    // Answers that passed the caches are there when the call returns.
    ~Tiles() {
        _mm_sfence();
        _tile_release();
    }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;
};

}  // namespace
}  // namespace binarynet
