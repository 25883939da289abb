// Linear and Conv2d of ±1 by the vertical kernels (kernels/contract.h, docs/kernels.md): rows become lists of
// the inputs that are set, weights words that hold one input's bit of many outputs.
//
// A pixel is listed once for all the windows that see it, next to the pixel that the next position sees in
// its place; what is listed for a pair of positions is their pixels' lists, one behind the other. A Linear is
// a window of one tap over rows that are pixels.
//
// Where a block of outputs is wider than there are channels, it holds 2 or 4 parts: the same channels under
// neighbouring taps of a kernel row. What a position needs of part j is counted at the position j to its
// right, so that each row of the image has some positions more than the answer.
#pragma once

#include <optional>

#include "base/memory.h"
#include "finish.h"
#include "kernel.h"
#include "rows.h"

namespace binarynet {

class VerticalMatmul {
 public:
    static bool takes(const Shape& shape, const Code& weight);
    // None for what is not ±1 × ±1 in one group, or too small for the words.
    static std::optional<VerticalMatmul> plan(const Shape& shape, const Outside& outside, bool direct,
                                              const Order& order, const PackedWeights& weight,
                                              const Kernels& kernels, bool forced);
    // Lays out weights, and the limits of what is compared.
    void seal(const PackedWeights& weight, const Finish& finish,
              const std::vector<std::vector<bool>>& outside, std::vector<uint32_t> classes,
              const Kernels& kernels);

    Work work(const Frame& frame, const Finish& finish) const;
    void run(const Frame& frame, int source, int target, const Finish& finish) const;
    size_t scratch_bytes(const Finish& finish) const;
    size_t weight_bytes() const;
    std::string text() const;

 private:
    // A chunk: taps [tap, tap + taps) of the words of pixels [word, word + words).
    struct Chunk {
        size_t tap, taps, word, words;
    };
    // Rows [row, row + rows) of the output of one image; without a window, rows of all.
    struct Part {
        size_t image, row, rows;
    };
    // What a part's rows are listed in, all in scratch memory.
    struct Lists {
        uint16_t *entries, *free;  // free: behind the last
        uint32_t* begins;          // (pairs, chunks, 4)
        uint32_t* pixels;          // (rows in, slots, pieces, 4): the same of each pair of pixels
        uint32_t* counts;          // (rows in, columns): listed inputs of a pixel
        uint32_t* first;
        int32_t* listed;
        uint32_t* starts;
        uint8_t* counters;
        size_t pairs;
        bool negated;
    };

    static constexpr uint32_t kNoSlot = ~uint32_t{0};
    VerticalMatmul(const Shape& shape, const Outside& outside, bool direct, const Order& order,
                   const Kernels& kernels);

    size_t outputs() const { return 8 * wide_ / parts_; }  // of a block
    size_t kernel_rows() const { return direct_ ? 1 : shape_.window->kernel_height; }
    size_t taps() const { return kernel_rows() * groups_; }
    size_t pixel_inputs() const { return kWord * pixel_words_; }
    size_t in_rows(size_t rows) const;
    size_t width() const { return direct_ ? 1 : shape_.window->out_width(); }
    size_t height() const { return direct_ ? shape_.positions() : shape_.window->out_height(); }
    size_t pairs_of_row() const { return (width() + used_parts_) / 2; }
    size_t pairs(size_t rows) const { return direct_ ? (rows + 1) / 2 : rows * pairs_of_row(); }
    size_t pieces() const { return direct_ ? 1 : chunks_.size() / taps() + (chunks_.size() < taps()); }
    bool joined() const { return !direct_ && chunks_[0].taps > 1; }
    size_t columns() const { return slots_.size(); }
    size_t acc_bytes() const { return most_rows_ * width() * outputs() * 4; }
    // Memory for a part of so many rows: places, if `lists` is not null.
    size_t place(size_t rows, uint8_t* scratch, Lists* lists) const;

    Lists list(const Frame& frame, const uint64_t* source, const Part& part, uint8_t* scratch) const;
    void list_rows(const Kernels& kernels, const uint64_t* source, const Part& part, Lists& lists) const;
    void list_pixels(const Kernels& kernels, const uint64_t* image, const Part& part, Lists& lists) const;
    void list_pairs(Lists& lists) const;
    void count_listed(const Part& part, Lists& lists) const;
    bool ones_are_rarer(const uint64_t* source, const Part& part) const;
    void run_part(const Frame& frame, int source, int target, const Finish& finish, const Part& part,
                  size_t block_begin, size_t block_end, int slot) const;
    void lay_out(const PackedWeights& weight, const Kernels& kernels);

    Shape shape_;
    Outside outside_;
    bool direct_;  // rows of the source are rows of the product
    Order order_;
    size_t wide_;  // bytes of a word
    size_t pixel_words_;
    size_t parts_ = 1, used_parts_ = 1, groups_ = 1;  // groups: of taps of a kernel row
    size_t most_rows_ = 1;                            // of a part
    size_t blocks_;
    double inside_ = 1;  // share of the taps that lie in the image
    int planes_ = 0;
    int32_t middle_ = 0;
    std::vector<Chunk> chunks_;
    std::vector<size_t> offsets_;
    std::vector<uint32_t> slots_;  // of the columns, from −left on, whose pixels begin a pair; or kNone
    size_t slot_count_ = 0;
    // The pixel outside, and one of all ones, of which nothing is listed where zeros are.
    std::vector<uint64_t> pad_, full_;

    Buffer weights_;
    size_t block_bytes_ = 0;
    std::vector<uint32_t> classes_;  // (positions), empty if there is one class
    std::vector<int32_t> bases_;     // (classes, channels)
    Buffer limits_;                  // as VerticalBits::limits
    std::vector<uint8_t> flip_;
};

}  // namespace binarynet
