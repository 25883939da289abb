// Linear and Conv2d of ±1 whose answers are bits, bitsliced (kernels/bitsliced.h, docs/kernels.md): rows lie
// side by side, weights are listed when the network is built.
//
// Of a convolution with stride 1, positions are bits of one long string, a row of the image after the other,
// padding rows included; a kernel tap further down is the same string some bytes later. So a block of
// positions holds, for each column of the kernel, every channel's string once, moved by as many bits.
#pragma once

#include <optional>

#include "base/memory.h"
#include "finish.h"
#include "rows.h"

namespace binarynet {

class BitslicedMatmul {
 public:
    static bool takes(const Shape& shape, const Code& weight);
    // None for what is not taken; unless it is forced, also for lists that are larger than caches.
    static std::optional<BitslicedMatmul> plan(const Shape& shape, const Outside& outside, bool direct,
                                               const Order& order, const Kernels& kernels, bool forced);
    // Lists the weights.
    void seal(const PackedWeights& weight, const Finish& finish,
              const std::vector<std::vector<bool>>& outside, std::vector<uint32_t> classes);

    Work work(const Frame& frame) const;
    void run(const Frame& frame, int source, int target) const;
    size_t scratch_bytes() const;
    size_t weight_bytes() const;
    std::string text() const;

 private:
    // Words [word, word + words) of the pixels, whose strings lie in L1 together, at `offset`.
    struct Region {
        size_t word, words, offset;
    };
    struct Scratch;

    BitslicedMatmul(const Shape& shape, const Outside& outside, bool direct, const Order& order,
                    const Kernels& kernels);

    size_t lanes() const { return 8 * wide_; }
    size_t pairs() const { return (shape_.channels + 1) / 2; }
    size_t columns() const { return direct_ ? 1 : shape_.window->kernel_width; }
    size_t kernel_rows() const { return direct_ ? 1 : shape_.window->kernel_height; }
    // Bytes from a tap to the one below it.
    size_t row_step() const { return direct_ ? 0 : shape_.window->dilation_y * pitch_ / 8; }
    size_t region_bytes(size_t words) const { return columns() * words * kWord * span_; }
    // Lanes of so many images.
    size_t lanes_of(size_t images) const;
    size_t blocks(size_t images) const { return (lanes_of(images) + lanes() - 1) / lanes(); }
    // Where in a region an input lies.
    size_t place(const Region& region, size_t ky, size_t kx, size_t channel) const;
    // rows: of the weights, (outputs, words).
    void list_weights(const std::vector<uint64_t>& rows);
    void list_all();

    // bitsliced_inputs.cpp
    Scratch scratch(uint8_t* memory) const;
    // The block whose first lane is `first`: its words, and where its lanes go.
    void load(const Frame& frame, const uint64_t* source, size_t first, const Scratch& s) const;
    void load_strings(const Frame& frame, const uint64_t* source, size_t first, const Scratch& s) const;
    void find_classes(const Scratch& s) const;
    // Words [begin, end) of the rows of the answer.
    void store(const Frame& frame, uint64_t* target, size_t begin, size_t end, const Scratch& s) const;

    Shape shape_;
    Outside outside_;
    bool direct_;
    size_t wide_;
    size_t pixel_words_, channels_;  // of what is read; with the tails between flattened pixels
    size_t pitch_ = 0, rows_ = 0;    // lanes from row to row, rows from image to image
    size_t span_;                    // bytes of a string
    int planes_;
    std::vector<Region> regions_;
    size_t inputs_bytes_ = 0;

    Order order_;
    std::vector<uint16_t> entries_;
    std::vector<uint32_t> begins_;
    std::vector<size_t> offsets_;  // (chunks)
    std::vector<SlicedList> all_;
    std::vector<uint32_t> classes_;  // (positions), empty if there is one
    size_t groups_ = 1, class_count_ = 1;
    std::vector<uint8_t> starts_, flip_;
};

}  // namespace binarynet
