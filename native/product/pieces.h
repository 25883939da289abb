// Rows of a convolution where they lie: the pixels under a row of the kernel follow one another in memory, so
// that a row of the product is as many pieces as the kernel has rows. Where there is padding, rows of the
// image are copied once with it.
#pragma once

#include "rows.h"

namespace binarynet {

class Pieces {
 public:
    // Bits in whole words, one group, no gaps between columns of the kernel.
    static bool takes(const Shape& shape, const Kernels& kernels);
    Pieces(const Shape& shape, uint8_t outside) : shape_(shape), outside_(outside) {}

    // Rows of the product that a tile may have: whole rows of one image's output.
    size_t tile_rows() const;
    size_t scratch_bytes() const;
    // Positions [first, first + count) of one image, at most tile_rows() or fewer than a row of the output →
    // g.starts, g.segments and g.segment_stride. memory: scratch_bytes().
    void find(const uint64_t* image, size_t first, size_t count, uint8_t* memory, Gemm* g) const;

 private:
    size_t line_words() const {  // of a row of the image with its padding
        const Window& w = *shape_.window;
        return (w.left + w.width + w.right) * shape_.from.row_words();
    }
    size_t lines(size_t rows) const {
        const Window& w = *shape_.window;
        return (rows - 1) * w.stride_y + (w.kernel_height - 1) * w.dilation_y + 1;
    }
    // Rows of the output that positions of a tile may touch.
    size_t most_rows() const { return (tile_rows() - 1) / shape_.window->out_width() + 2; }

    Shape shape_;
    uint8_t outside_;
};

}  // namespace binarynet
