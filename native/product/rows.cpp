#include "rows.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace binarynet {

Order Order::by_pixel(const Shape& shape, size_t pixels) {
    Order order;
    const size_t words = shape.from.row_words();
    order.pixel_ = shape.from.channels;
    order.words_ = pixels * words;
    order.used_ = (order.words_ - words) * kWord + shape.from.channels;
    return order;
}

std::vector<uint64_t> Order::lay_out(const PackedWeights& weight, size_t plane, size_t depth) const {
    const size_t packed = words_for(depth);
    const uint64_t* first = weight.row(plane, 0, depth);
    if (!pixel_) return {first, first + weight.channels * packed};
    const size_t pixel_words = words_for(pixel_);
    std::vector<uint64_t> rows(weight.channels * words_);
    for (size_t c = 0; c < weight.channels; ++c) {
        for (size_t p = 0; p < words_ / pixel_words; ++p) {
            BitWriter writer(&rows[c * words_ + p * pixel_words]);
            writer.copy(first + c * packed, p * pixel_, pixel_);
            writer.finish();
        }
    }
    return rows;
}

const char* Rows::text() const {
    if (!shape_.window) return "";
    return direct() ? "1×1 in place" : shape_.from.store == Value::bits ? "gathered bits" : "gathered codes";
}

// One position: the bits under the window, tap after tap without gaps.
void Rows::gather_bits(const uint64_t* image, size_t oy, size_t ox, size_t group, uint64_t* row) const {
    const Window& w = *shape_.window;
    const size_t channels = shape_.from.channels / shape_.groups, pixel_words = shape_.from.row_words();
    const uint64_t outside = outside_ ? ~uint64_t{0} : 0;
    if (shape_.groups == 1 && channels % kWord == 0) {
        const bool whole =
            w.dilation_x == 1 && w.column(ox, 0) < w.width && w.column(ox, w.kernel_width - 1) < w.width;
        for (size_t ky = 0; ky < w.kernel_height; ++ky) {
            const size_t iy = w.row(oy, ky), line = w.kernel_width * pixel_words;
            const uint64_t* from = image + iy * w.width * pixel_words;
            if (iy >= w.height) {
                std::fill_n(row, line, outside);
            } else if (whole) {
                std::memcpy(row, from + w.column(ox, 0) * pixel_words, line * 8);
            } else {
                for (size_t kx = 0; kx < w.kernel_width; ++kx) {
                    const size_t ix = w.column(ox, kx);
                    if (ix < w.width)
                        std::memcpy(row + kx * pixel_words, from + ix * pixel_words, pixel_words * 8);
                    else
                        std::fill_n(row + kx * pixel_words, pixel_words, outside);
                }
            }
            row += line;
        }
        return;
    }
    BitWriter writer(row);
    for (size_t ky = 0; ky < w.kernel_height; ++ky) {
        const size_t iy = w.row(oy, ky);
        for (size_t kx = 0; kx < w.kernel_width; ++kx) {
            const size_t ix = w.column(ox, kx);
            if (iy < w.height && ix < w.width)
                writer.copy(image + (iy * w.width + ix) * pixel_words, group * channels, channels);
            else
                writer.fill(outside, channels);
        }
    }
    writer.finish();
}

// A line of the window that lies in the image is copied at once, a short one as 16 bytes, one instruction,
// where that stays within the image: what is too much, the next line replaces.
void Rows::gather_patch(const uint8_t* image, size_t oy, size_t ox, size_t group, uint8_t* patch) const {
    const Window& w = *shape_.window;
    const size_t channels = shape_.from.channels / shape_.groups, line = w.kernel_width * channels;
    const bool whole = shape_.groups == 1 && w.dilation_x == 1 && w.column(ox, 0) < w.width &&
                       w.column(ox, w.kernel_width - 1) < w.width;
    const uint8_t* const end = image + image_bytes_;
    for (size_t ky = 0; ky < w.kernel_height; ++ky, patch += line) {
        const size_t iy = w.row(oy, ky);
        if (iy >= w.height) {
            std::memset(patch, outside_, line);
            continue;
        }
        const uint8_t* row = image + iy * w.width * shape_.from.channels + group * channels;
        if (whole) {
            const uint8_t* from = row + w.column(ox, 0) * channels;
            const bool in_one = line <= kShort && static_cast<size_t>(end - from) >= kShort;
            if (in_one)
                std::memcpy(patch, from, kShort);
            else
                std::memcpy(patch, from, line);
            continue;
        }
        for (size_t kx = 0; kx < w.kernel_width; ++kx) {
            const size_t ix = w.column(ox, kx);
            if (ix < w.width)
                std::memcpy(patch + kx * channels, row + ix * shape_.from.channels, channels);
            else
                std::memset(patch + kx * channels, outside_, channels);
        }
    }
}

void Rows::gather(const Kernels& kernels, const void* source, size_t first, size_t count, size_t group,
                  size_t words, uint64_t* rows, uint8_t* patch) const {
    const auto planes = static_cast<size_t>(shape_.from.code.bits);
    const size_t row_words = planes * words, depth = shape_.depth;
    if (!shape_.window) {
        const uint8_t* codes = static_cast<const uint8_t*>(source) + first * depth;
        for (size_t r = 0; r < count; ++r)
            kernels.split(codes + r * depth, depth, shape_.from.code.bits, rows + r * row_words, words);
        return;
    }
    each_position(source, first, count, [&](const uint8_t* image, size_t oy, size_t ox, size_t r) {
        uint64_t* row = rows + r * row_words;
        if (shape_.from.store == Value::bits) {
            gather_bits(reinterpret_cast<const uint64_t*>(image), oy, ox, group, row);
        } else {
            gather_patch(image, oy, ox, group, patch);
            kernels.split(patch, depth, shape_.from.code.bits, row, words);
        }
    });
}

void Rows::gather_codes(const uint8_t* source, size_t first, size_t count, uint8_t* rows) const {
    each_position(source, first, count, [&](const uint8_t* image, size_t oy, size_t ox, size_t r) {
        gather_patch(image, oy, ox, 0, rows + r * shape_.depth);
    });
}

template <class Body>
void Rows::each_position(const void* source, size_t first, size_t count, Body&& body) const {
    const size_t columns = shape_.window->out_width(), positions = shape_.window->positions();
    const uint8_t* image = static_cast<const uint8_t*>(source) + first / positions * image_bytes_;
    size_t oy = first % positions / columns, ox = first % columns;
    for (size_t r = 0; r < count; ++r) {
        body(image, oy, ox, r);
        if (++ox < columns) continue;
        ox = 0;
        if (++oy < shape_.window->out_height()) continue;
        oy = 0;
        image += image_bytes_;
    }
}

}  // namespace binarynet
