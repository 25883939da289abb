// A convolution's rows without a gather: pixels become bytes once, and tiles read them under every tap.
//
// A tile is 13 … 16 neighbouring positions. With the image in memory as bytes, 64 channels of a pixel
// together,
//
//     step k = (tap, 64 channels) of position x:   tile(x) + offset(k) + i · stride
//
// where the offset moves the tile to the tap, and the stride is one pixel, or two if the window moves by two.
// Three arrangements:
//
//     rows      the output's rows divide into tiles: the image once, with its padding
//     shifted   they do not (8 × 8): once per kernel column, without padding between the rows, so that the
//               positions of all rows lie one after the other
//     patches   codes of few channels (RGB): the window's codes of every position, one after the other
#pragma once

#include <optional>

#include "kernels/contract.h"
#include "steps/value.h"
#include "steps/window.h"

namespace binarynet {

class Implicit {
 public:
    // Output rows [row, row + rows) of some images.
    struct Block {
        size_t image, images, row, rows;
    };

    // Nothing if the kernels have no matrix unit, or if rows are better gathered.
    static std::optional<Implicit> plan(const Value& from, const Window& window, uint8_t pad_code,
                                        const Kernels& kernels);

    // Depth of the weights: do the channels of each tap begin with a word of their own?
    bool whole_words() const { return arrangement_ != Arrangement::patches; }
    const char* text() const;

    // Positions [0, out_height) of all images in blocks that fit the scratch memory, at least `wanted` of
    // them if there are enough positions.
    size_t block_count(size_t images, size_t wanted) const;
    Block block(size_t i, size_t images, size_t wanted) const;
    // Of all blocks of so many images, roughly: blocks are taken to be as large as the first.
    size_t expanded_bytes(size_t images) const;
    size_t block_positions() const { return images_ * rows_ * window_.out_width(); }

    size_t scratch_bytes() const;
    // Expands what the block sees; tiles lie in scratch. Row 0 of the strips is the block's first position.
    Strips expand(const Kernels& kernels, const uint8_t* source, const Block& block, uint8_t* scratch) const;

 private:
    enum class Arrangement { rows, shifted, patches };
    struct Layout;
    struct Split;

    Implicit(const Value& from, const Window& window, uint8_t pad_code);

    Layout layout(size_t images, size_t rows) const;
    Split split(size_t images, size_t wanted) const;
    void expand_row(const Kernels& kernels, const uint8_t* row, size_t first, size_t step, size_t count,
                    uint8_t* out, size_t step_stride) const;
    void expand_image(const Kernels& kernels, const uint8_t* image, size_t row, const Layout& layout,
                      uint8_t* out) const;
    void expand_patches(const Kernels& kernels, const uint8_t* image, const uint8_t* end, const Block& block,
                        uint8_t* patch, const Layout& layout, uint8_t* out) const;

    Value from_;
    Window window_;
    uint8_t pad_code_;
    Arrangement arrangement_;
    size_t pixel_bytes_;        // of the source
    size_t height_ = 0;         // of a tile, if rows
    size_t images_, rows_;      // of a block, at most
    std::vector<uint8_t> pad_;  // a pixel that lies outside
};

}  // namespace binarynet
