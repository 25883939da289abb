// Where the images of a convolution lie in packed operands. Only for files compiled for AMX.
//
// Images lie in *bands*, so that a tap is a shift of all positions by one number, the convolution a sum over
// the taps of plain matrix products, and no window is ever copied. Some images lie together, position by
// position:
//
//     zeros | row 0: image 0 1 … of pixel 0, image 0 1 … of pixel 1, …, zeros | row 1, zeros | … | zeros
//
// The zeros to the right of a row are those to the left of the next. With as many images together as make a
// row of 32 positions, a tile never spans two rows, and no sums are made at positions that are no pixels.
// With two or more, a shift is a whole number of pairs of positions, in which the right operand of the weight
// gradient lies: its taps read whole lines as well.
#pragma once

#include <algorithm>

#include "products.h"
#include "tiles.h"

namespace binarynet::training {

constexpr size_t kBand = 896 << 10;  // bytes of packed positions, in L2
constexpr size_t kAhead = 512;       // numbers that are fetched before they are packed: 2 KB

inline size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

struct Bands {
    ConvShape shape;
    size_t together = 2, shift_together = 1;  // 2^1
    size_t taps, row;                         // row: positions from one row to the next
    size_t height, per_group;                 // of a band, and bands of a group of images
    size_t bands, padded;                     // all bands, and positions of one with its zeros
    std::vector<size_t> shift;                // of each tap

    // `position_bytes`: of all channels. A band is as many rows as stay in L2.
    Bands(const ConvShape& s, size_t position_bytes) : shape(s) {
        taps = s.kernel_height * s.kernel_width;
        while (together * s.width < kBlock) together *= 2, ++shift_together;
        row = (s.width + s.kernel_width / 2) * together;
        per_group = divide_up(s.height, std::max<size_t>(1, kBand / (row * position_bytes)));
        height = divide_up(s.height, per_group);
        per_group = divide_up(s.height, height);
        bands = divide_up(s.images, together) * per_group;
        // A tile may begin near the last position, and read on.
        padded = s.kernel_width / 2 * together + (height + s.kernel_height - 1) * row + kBlock;
        for (size_t i = 0; i < s.kernel_height; ++i)
            for (size_t j = 0; j < s.kernel_width; ++j) shift.push_back(i * row + j * together);
    }
    size_t width() const { return shape.width * together; }  // of a row, in positions
    size_t first_row(size_t band) const { return band % per_group * height; }
    size_t rows(size_t band) const { return std::min(height, shape.height - first_row(band)); }
    size_t first_image(size_t band) const { return band / per_group << shift_together; }
    // Where a position of row y of images (…, channels) is; null beyond the last image.
    template <typename T>
    T* at(T* images, size_t channels, size_t first_image, size_t y, size_t position) const {
        const size_t image = first_image + (position & (together - 1));
        if (image >= shape.images) return nullptr;
        return images + ((image * shape.height + y) * shape.width + (position >> shift_together)) * channels;
    }
    // The same of a gradient, which may be a pool's: `room` holds its channels, up to a multiple of 16, then.
    const float* gradient_at(const Operand& g, size_t channels, size_t first_image, size_t y, size_t position,
                             float* room) const {
        if (!g.from) return at(g.numbers, channels, first_image, y, position);
        const size_t image = first_image + (position & (together - 1)), x = position >> shift_together;
        if (image >= shape.images) return nullptr;
        const size_t pixel = ((image * (shape.height / 2) + y / 2) * (shape.width / 2) + x / 2) * channels;
        const __m128i which = _mm_set1_epi8(static_cast<char>(y % 2 * 2 + x % 2));
        for (size_t c = 0; c < channels; c += kHalf) {
            const __mmask16 there = first(channels - c);
            const __mmask16 here =
                _mm_cmpeq_epi8_mask(_mm_maskz_loadu_epi8(there, g.from + pixel + c), which) & there;
            _mm512_storeu_ps(room + c, _mm512_maskz_loadu_ps(here, g.numbers + pixel + c));
        }
        return room;
    }
};

// The line of memory `count` numbers on. It need not be there.
inline void fetch(const float* from, size_t count) {
    _mm_prefetch(reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(from) + count * sizeof(float)),
                 _MM_HINT_T0);
}

// The positions of a band, with the zeros around them, in `planes` of lines: line(y, position, to) writes the
// line that begins with that position into the first plane, and what belongs into the others. A line holds
// `per_line` positions.
template <class Line>
void pack_band(const Bands& g, size_t band, size_t height, size_t per_line, size_t planes, uint8_t* packed,
               Line&& line) {
    const size_t plane = g.padded / per_line * kLine;
    const size_t left = g.shape.kernel_width / 2 * g.together, above = g.shape.kernel_height / 2;
    const size_t rows = height + g.shape.kernel_height - 1, end = left + rows * g.row;
    const auto clear = [&](size_t from, size_t to) {
        for (size_t k = 0; k < planes; ++k)
            std::memset(packed + k * plane + from / per_line * kLine, 0, (to - from) / per_line * kLine);
    };
    clear(0, left);
    clear(end, end + kBlock);
    for (size_t r = 0; r < rows; ++r) {
        const size_t begin = left + r * g.row, y = g.first_row(band) + r - above;  // wraps above the image
        if (y >= g.shape.height) {
            clear(begin, begin + g.row);
            continue;
        }
        clear(begin + g.width(), begin + g.row);
        for (size_t q = 0; q < g.width(); q += per_line) line(y, q, packed + (begin + q) / per_line * kLine);
    }
}

}  // namespace binarynet::training
