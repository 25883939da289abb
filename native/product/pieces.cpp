#include "pieces.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace binarynet {

namespace {

constexpr size_t kImageBytes = 32 << 10;  // of rows of an image with their padding: in L1
constexpr size_t kMostRows = 256;

}  // namespace

bool Pieces::takes(const Shape& shape, const Kernels& kernels) {
    return kernels.segments && shape.window && shape.from.store == Value::bits && shape.groups == 1 &&
           shape.from.channels % kWord == 0 && shape.window->dilation_x == 1 && !shape.in_place();
}

size_t Pieces::tile_rows() const {
    const Window& w = *shape_.window;
    const size_t width = w.out_width();
    size_t rows = std::max<size_t>(1, kMostRows / width);
    while (rows > 1 && lines(rows) * line_words() * 8 > kImageBytes) --rows;
    return rows * width;
}

size_t Pieces::scratch_bytes() const {
    const size_t copied = shape_.padded() ? lines(most_rows()) * line_words() * 8 : 0;
    return round_up(tile_rows() * sizeof(uint64_t*), kLine) + round_up(copied, kLine);
}

void Pieces::find(const uint64_t* image, size_t first, size_t count, uint8_t* memory, Gemm* g) const {
    const Window& w = *shape_.window;
    const size_t words = shape_.from.row_words(), width = w.out_width();
    const size_t top = first / width, bottom = (first + count - 1) / width;
    auto** const starts = reinterpret_cast<const uint64_t**>(memory);
    const uint64_t* lines = image + top * w.stride_y * w.width * words;
    if (shape_.padded()) {
        auto* const copy =
            reinterpret_cast<uint64_t*>(memory + round_up(tile_rows() * sizeof(uint64_t*), kLine));
        const uint64_t outside = outside_ ? ~uint64_t{0} : 0;
        uint64_t* to = copy;
        for (size_t i = 0; i < this->lines(bottom - top + 1); ++i, to += line_words()) {
            const size_t y = w.row(top, 0) + i;  // wraps above the image
            if (y >= w.height) {
                std::fill_n(to, line_words(), outside);
                continue;
            }
            std::fill_n(to, w.left * words, outside);
            std::memcpy(to + w.left * words, image + y * w.width * words, w.width * words * 8);
            std::fill_n(to + (w.left + w.width) * words, w.right * words, outside);
        }
        lines = copy;
    }
    const size_t line = line_words();
    size_t x = first % width;
    for (size_t r = 0; r < count; ++r) {
        starts[r] = lines + x * w.stride_x * words;
        if (++x < width) continue;
        x = 0;
        lines += w.stride_y * line;
    }
    g->starts = starts;
    g->segments = w.kernel_height;
    g->segment_stride = w.dilation_y * line;
}

}  // namespace binarynet
