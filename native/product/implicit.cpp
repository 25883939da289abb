#include "implicit.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/memory.h"

namespace binarynet {

namespace {

constexpr size_t kTileRows = 16, kStripRows = 32;
// Bytes of a block: with panels and sums, L2 should hold them.
constexpr size_t kBlockBytes = 512 << 10;
// Positions of a block of several images: as many as meet one panel in the kernel.
constexpr size_t kBlockPositions = 512;
// Below, a matrix unit's tiles are too low, or an image is done before weights have become bytes.
constexpr size_t kLeastRows = 12, kLeastPositions = 32;
// Positions that deserve a thread: fewer, and threads share out the channels.
constexpr size_t kLeastShare = 128;
// Patches are expanded so many at a time.
constexpr size_t kPatches = 16;
// Bytes of a short line of a window.
constexpr size_t kShort = 16;

}  // namespace

// Where the bytes of a block lie, in units of 64: a plane per step of a pixel, in a plane the images, in an
// image its rows. Where windows move by s rows, every s-th row belongs together, so that the next position
// down is always the next row.
struct Implicit::Layout {
    size_t steps;               // of 64 values of a pixel, or of a patch
    size_t copies;              // shifted: kernel columns
    size_t pitch;               // of a row
    size_t slots, in_rows;      // rows that belong together; rows that the block sees
    size_t image, plane, copy;  // sizes
    size_t total;

    size_t row(size_t j, size_t stride) const { return (j % stride * slots + j / stride) * pitch; }
};

Implicit::Implicit(const Value& from, const Window& window, uint8_t pad_code)
    : from_(from), window_(window), pad_code_(pad_code) {}

Implicit::Layout Implicit::layout(size_t images, size_t rows) const {
    const Window& w = window_;
    Layout l{};
    l.copies = arrangement_ == Arrangement::shifted ? w.kernel_width : 1;
    if (arrangement_ == Arrangement::patches) {
        l.steps = words_for(w.taps() * from_.channels);
        l.pitch = w.out_width();
        l.in_rows = l.slots = rows;
        l.image = rows * l.pitch;
    } else {
        l.steps = from_.row_words();
        l.pitch = arrangement_ == Arrangement::shifted ? w.out_width() : w.left + w.width + w.right;
        l.in_rows = (rows - 1) * w.stride_y + (w.kernel_height - 1) * w.dilation_y + 1;
        l.slots = (l.in_rows + w.stride_y - 1) / w.stride_y;
        l.image = l.slots * w.stride_y * l.pitch;
    }
    l.plane = images * l.image;
    l.copy = l.steps * l.plane;
    l.total = l.copies * l.copy;
    return l;
}

std::optional<Implicit> Implicit::plan(const Value& from, const Window& window, uint8_t pad_code,
                                       const Kernels& kernels) {
    const bool bits = from.store == Value::bits;
    const size_t positions = window.positions(), width = window.out_width(),
                 depth = window.taps() * from.channels;
    if (!kernels.expand || positions < kLeastPositions) return std::nullopt;
    Implicit made(from, window, pad_code);
    made.pixel_bytes_ = bits ? from.row_words() * 8 : from.channels;
    // Bits are read in place however few the channels: to gather them costs more than tiles that are mostly
    // zeros. Of codes, which can be gathered as bytes, a quarter of a line may be empty.
    if (bits || from.row_words() * kWord * 3 <= from.channels * 4) {
        made.arrangement_ = Arrangement::shifted;
        // The highest tiles, of the largest that divide a row.
        for (size_t height = kLeastRows; height <= kTileRows; ++height) {
            if (width % height) continue;
            made.arrangement_ = Arrangement::rows;
            made.height_ = height;
        }
    } else if (depth <= 16 * kWord) {
        made.arrangement_ = Arrangement::patches;
    } else {
        return std::nullopt;
    }
    made.pad_.assign(made.pixel_bytes_, bits ? 0 : pad_code);
    for (size_t c = 0; bits && pad_code && c < from.channels; ++c)
        made.pad_[c / 8] = static_cast<uint8_t>(made.pad_[c / 8] | 1 << c % 8);

    const size_t fit = kBlockBytes / kLine;
    made.images_ = 1;
    made.rows_ = window.out_height();
    if (const size_t image = made.layout(1, made.rows_).total; image <= fit)
        made.images_ = std::clamp<size_t>(kBlockPositions / positions, 1, fit / image);
    while (made.rows_ && made.layout(1, made.rows_).total > fit) --made.rows_;
    if (made.rows_ * width < kStripRows) return std::nullopt;
    return made;
}

const char* Implicit::text() const {
    return arrangement_ == Arrangement::rows      ? "pixels"
           : arrangement_ == Arrangement::shifted ? "shifted pixels"
                                                  : "patches";
}

// How images and rows are cut: into blocks of `images` images, or every image into `parts`.
struct Implicit::Split {
    size_t groups, parts;
};

Implicit::Split Implicit::split(size_t images, size_t wanted) const {
    const size_t rows = window_.out_height(), parts = (rows + rows_ - 1) / rows_;
    if (parts > 1 || images * parts >= wanted)
        return {std::max((images + images_ - 1) / images_, std::min(images, wanted)), parts};
    const size_t most = std::max<size_t>(1, window_.positions() / kLeastShare);
    return {images, std::min({most, rows, (wanted + images - 1) / images})};
}

size_t Implicit::block_count(size_t images, size_t wanted) const {
    const Split s = split(images, wanted);
    return s.groups * s.parts;
}

Implicit::Block Implicit::block(size_t i, size_t images, size_t wanted) const {
    const Split s = split(images, wanted);
    const size_t group = i / s.parts, part = i % s.parts, rows = window_.out_height();
    const size_t image = images * group / s.groups, row = rows * part / s.parts;
    return {image, images * (group + 1) / s.groups - image, row, rows * (part + 1) / s.parts - row};
}

size_t Implicit::expanded_bytes(size_t images) const {
    const Block first = block(0, images, 1);
    return block_count(images, 1) * layout(first.images, first.rows).total * kLine;
}

size_t Implicit::scratch_bytes() const {
    const Layout l = layout(images_, rows_);
    const size_t strips = block_positions() / (2 * kLeastRows) + images_ + 1;
    const size_t steps = window_.taps() * l.steps;
    return round_up(strips * sizeof(Strip), kLine) + round_up(steps * sizeof(size_t), kLine) +
           kPatches * round_up(window_.taps() * from_.channels + kLine, kLine) +
           (l.total + 2 * kTileRows * window_.stride_x) * kLine;
}

// Pixels first, first + step, … of a row of the image, `count` of them; those outside it, which is also where
// the row is null, are padding. Indices wrap below 0.
void Implicit::expand_row(const Kernels& kernels, const uint8_t* row, size_t first, size_t step, size_t count,
                          uint8_t* out, size_t step_stride) const {
    Pixels p{};
    p.values = from_.channels;
    p.bits = from_.store == Value::bits;
    p.step_stride = step_stride;
    size_t i = 0;
    auto run = [&](const uint8_t* from, size_t stride, size_t end) {
        if (i >= end) return;
        p.from = from;
        p.stride = stride;
        p.count = end - i;
        p.out = out + i * kLine;
        kernels.expand(p);
        i = end;
    };
    const size_t width = window_.width;
    size_t before = count, inside = count;
    if (row) {
        const size_t left = first < width ? 0 : 0 - first;  // pixels to the image's first
        before = first < width ? 0 : std::min(count, left > SIZE_MAX / 2 ? count : (left + step - 1) / step);
        const size_t at = first + before * step;
        inside =
            before < count && at < width ? std::min(count, before + (width - 1 - at) / step + 1) : before;
    }
    run(pad_.data(), 0, before);
    if (inside > before) run(row + (first + before * step) * pixel_bytes_, step * pixel_bytes_, inside);
    run(pad_.data(), 0, count);
}

// What output rows from `row` on see of one image.
void Implicit::expand_image(const Kernels& kernels, const uint8_t* image, size_t row, const Layout& l,
                            uint8_t* out) const {
    const Window& w = window_;
    for (size_t j = 0; j < l.in_rows; ++j) {
        const size_t iy = w.row(row, 0) + j;
        const uint8_t* const from = iy < w.height ? image + iy * w.width * pixel_bytes_ : nullptr;
        for (size_t copy = 0; copy < l.copies; ++copy)
            expand_row(kernels, from, w.column(0, copy),
                       arrangement_ == Arrangement::shifted ? w.stride_x : 1, l.pitch,
                       out + (copy * l.copy + l.row(j, w.stride_y)) * kLine, l.plane * kLine);
    }
}

// The codes under the window of each position. Neighbours of a row of the image lie together. A short line of
// them is copied as 16 bytes, one instruction, where that stays within the input: what is too much, the next
// line replaces.
void Implicit::expand_patches(const Kernels& kernels, const uint8_t* image, const uint8_t* end,
                              const Block& block, uint8_t* patch, const Layout& l, uint8_t* out) const {
    const Window& w = window_;
    const size_t channels = from_.channels, line = w.kernel_width * channels;
    const size_t stride = round_up(w.taps() * channels + kLine, kLine);
    Pixels p{};
    p.from = patch;
    p.stride = stride;
    p.values = w.taps() * channels;
    p.step_stride = l.plane * kLine;
    for (size_t oy = block.row; oy < block.row + block.rows; ++oy) {
        for (size_t ox = 0; ox < w.out_width(); ox += p.count) {
            p.count = std::min(kPatches, w.out_width() - ox);
            // Windows [begin, inside) lie in the image from their first column to their last.
            size_t begin = 0, inside = 0;
            if (w.dilation_x == 1) {
                while (begin < p.count && w.column(ox + begin, 0) >= w.width) ++begin;
                inside = begin;
                while (inside < p.count && w.column(ox + inside, w.kernel_width - 1) < w.width) ++inside;
            }
            uint8_t* to = patch;
            for (size_t ky = 0; ky < w.kernel_height; ++ky, to += line) {
                const size_t iy = w.row(oy, ky);
                const uint8_t* row = image + iy * w.width * channels;
                for (size_t i = 0; i < p.count; ++i) {
                    if (iy >= w.height) {
                        std::memset(to + i * stride, pad_code_, line);
                    } else if (i >= begin && i < inside) {
                        const uint8_t* from = row + w.column(ox + i, 0) * channels;
                        if (line <= kShort && static_cast<size_t>(end - from) >= kShort)
                            std::memcpy(to + i * stride, from, kShort);
                        else
                            std::memcpy(to + i * stride, from, line);
                    } else {
                        for (size_t kx = 0; kx < w.kernel_width; ++kx) {
                            const size_t ix = w.column(ox + i, kx);
                            if (ix < w.width)
                                std::memcpy(to + i * stride + kx * channels, row + ix * channels, channels);
                            else
                                std::memset(to + i * stride + kx * channels, pad_code_, channels);
                        }
                    }
                }
            }
            p.out = out + ((oy - block.row) * l.pitch + ox) * kLine;
            kernels.expand(p);
        }
    }
}

Strips Implicit::expand(const Kernels& kernels, const uint8_t* source, const Block& block,
                        uint8_t* scratch) const {
    const Window& w = window_;
    const Layout l = layout(block.images, block.rows);
    auto take = [&](size_t bytes) { return std::exchange(scratch, scratch + round_up(bytes, kLine)); };
    const size_t steps = arrangement_ == Arrangement::patches ? l.steps : w.taps() * l.steps;
    const size_t width = w.out_width(), positions = block.rows * width, all = block.images * positions;
    const size_t most = all / (2 * kLeastRows) + block.images + 1;
    auto* const strips = reinterpret_cast<Strip*>(take(most * sizeof(Strip)));
    auto* const offsets = reinterpret_cast<size_t*>(take(steps * sizeof(size_t)));
    uint8_t* const patch = take(kPatches * round_up(w.taps() * from_.channels + kLine, kLine));
    uint8_t* const bytes = scratch;

    const size_t image_bytes = from_.bytes();
    for (size_t i = 0; i < block.images; ++i) {
        const uint8_t* image = source + (block.image + i) * image_bytes;
        if (arrangement_ == Arrangement::patches)
            expand_patches(kernels, image, image + image_bytes, block, patch, l, bytes + i * l.image * kLine);
        else
            expand_image(kernels, image, block.row, l, bytes + i * l.image * kLine);
    }
    for (size_t k = 0; k < steps; ++k) {
        if (arrangement_ == Arrangement::patches) {
            offsets[k] = k * l.plane * kLine;
            continue;
        }
        const size_t tap = k / l.steps, ky = tap / w.kernel_width, kx = tap % w.kernel_width;
        const size_t across = arrangement_ == Arrangement::shifted ? kx * l.copy : kx * w.dilation_x;
        offsets[k] = (across + k % l.steps * l.plane + l.row(ky * w.dilation_y, w.stride_y)) * kLine;
    }
    Strips s{strips, 0, offsets, height_, kLine};
    auto add = [&](const uint8_t* upper, const uint8_t* lower, size_t row, size_t count) {
        strips[s.count++] = {{upper, lower}, row, count};
    };
    if (arrangement_ == Arrangement::rows) {
        s.stride = w.stride_x * kLine;
        const size_t each = width / height_, tiles = all / height_;
        auto tile = [&](size_t t) {
            const size_t place = t / each, image = place / block.rows, y = place % block.rows;
            return bytes + (image * l.image + y * l.pitch + t % each * height_ * w.stride_x) * kLine;
        };
        for (size_t t = 0; t < tiles; t += 2)
            add(tile(t), tile(std::min(t + 1, tiles - 1)), t * height_,
                std::min<size_t>(2, tiles - t) * height_);
        return s;
    }
    // Patches of all images follow one another; shifted rows do so within an image.
    const size_t runs = arrangement_ == Arrangement::patches ? 1 : block.images, run = all / runs;
    const size_t each = (run + kStripRows - 1) / kStripRows;
    s.height = (run + 2 * each - 1) / (2 * each);
    for (size_t i = 0; i < runs; ++i) {
        for (size_t row = 0; row < run; row += 2 * s.height) {
            const uint8_t* tile = bytes + (i * l.image + row) * kLine;
            add(tile, tile + s.height * kLine, i * run + row, std::min(2 * s.height, run - row));
        }
    }
    return s;
}

}  // namespace binarynet
