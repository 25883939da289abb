// The lists of vertical products: which inputs of each pair of rows are set, and how many of each row.
#include <algorithm>
#include <cstring>

#include "vertical.h"

namespace binarynet {

namespace {

constexpr size_t kSampled = 64;            // words that say which sign is rarer
constexpr size_t kFilled = 3 * kListUnit;  // entries that fill up three lists, at most

}  // namespace

size_t VerticalMatmul::in_rows(size_t rows) const {
    if (direct_) return 0;
    const Window& w = *shape_.window;
    return (rows - 1) * w.stride_y + (w.kernel_height - 1) * w.dilation_y + 1;
}

size_t VerticalMatmul::place(size_t rows, uint8_t* scratch, Lists* lists) const {
    size_t bytes = 0;
    const auto take = [&](auto*& pointer, size_t count) {
        using T = std::remove_reference_t<decltype(*pointer)>;
        if (lists) pointer = reinterpret_cast<T*>(scratch + bytes);
        bytes += round_up(count * sizeof(T), kLine);
    };
    Lists none{};
    Lists& l = lists ? *lists : none;
    l.pairs = pairs(rows);
    const size_t pixel_lists = in_rows(rows) * slot_count_ * pieces();
    size_t entries = kListSlack + in_rows(rows) * slot_count_ * (pixel_inputs() + pieces() * kFilled);
    if (direct_) entries += l.pairs * (pixel_inputs() + chunks_.size() * kFilled);
    if (joined()) entries += l.pairs * (taps() * pixel_inputs() + chunks_.size() * (kFilled + kListSlack));
    take(l.entries, entries);
    take(l.begins, l.pairs * chunks_.size() * 4);
    take(l.pixels, pixel_lists * 4);
    take(l.counts, in_rows(rows) * columns());
    take(l.first, rows * width() + 1);
    take(l.listed, rows * width() + 1);
    take(l.starts, 2 * l.pairs);
    take(l.counters, 2 * l.pairs * static_cast<size_t>(planes_) * wide_);
    return bytes;
}

bool VerticalMatmul::ones_are_rarer(const uint64_t* source, const Part& part) const {
    const size_t channels = direct_ ? order_.used() : shape_.from.channels;
    const size_t rows = direct_ ? part.rows : shape_.from.pixels();
    const size_t looked = std::max<size_t>(1, std::min(rows, kSampled / pixel_words_));
    size_t ones = 0;
    for (size_t i = 0; i < looked; ++i)
        ones += popcount(source + rows * i / looked * pixel_words_, 0, pixel_words_ * kWord);
    return 2 * ones <= looked * channels;
}

VerticalMatmul::Lists VerticalMatmul::list(const Frame& frame, const uint64_t* source, const Part& part,
                                           uint8_t* scratch) const {
    Lists lists{};
    place(part.rows, scratch, &lists);
    source += (direct_ ? part.row : part.image * shape_.from.pixels()) * pixel_words_;
    // Tails between the pixels of a flattened image are no inputs, but would be listed as zeros.
    const bool gaps = direct_ && order_.used() != shape_.depth;
    lists.negated = !gaps && !ones_are_rarer(source, part);
    lists.free = lists.entries;
    if (direct_) {
        list_rows(frame.kernels, source, part, lists);
    } else {
        list_pixels(frame.kernels, source, part, lists);
        list_pairs(lists);
        count_listed(part, lists);
    }
    return lists;
}

void VerticalMatmul::list_rows(const Kernels& kernels, const uint64_t* source, const Part& part,
                               Lists& lists) const {
    const auto scale = wide_ / 8;
    const size_t tail = order_.used() - (pixel_words_ - 1) * kWord;
    ListPair l{};
    l.origin = lists.entries;
    l.filled = true;
    uint32_t counts[3];
    l.counts = counts;
    for (size_t pair = 0; pair < lists.pairs; ++pair) {
        uint32_t of_first = 0, of_second = 0;
        const bool both = 2 * pair + 1 < part.rows;
        for (size_t k = 0; k < chunks_.size(); ++k) {
            const Chunk& chunk = chunks_[k];
            const bool last = chunk.word + chunk.words == pixel_words_;
            l.flip = lists.negated ? ~uint64_t{0} : 0;
            l.last_flip = last ? l.flip & low_bits(tail) : l.flip;
            l.words = chunk.words;
            l.a = source + 2 * pair * pixel_words_ + chunk.word;
            l.b = both ? l.a + pixel_words_ : l.a;  // alone: a pair with itself, which lists it once
            l.fill = static_cast<uint16_t>(chunk.words * kWord * scale);
            l.entries = lists.free;
            l.begins = lists.begins + 4 * (pair * chunks_.size() + k);
            kernels.list_pair(l);
            lists.free = lists.entries + l.begins[3];
            of_first += counts[0] + counts[1];
            of_second += counts[0] + counts[2];
        }
        lists.first[2 * pair] = static_cast<uint32_t>(2 * pair);
        lists.listed[2 * pair] = static_cast<int32_t>(of_first);
        if (!both) continue;
        lists.first[2 * pair + 1] = static_cast<uint32_t>(2 * pair + 1);
        lists.listed[2 * pair + 1] = static_cast<int32_t>(of_second);
    }
}

// The pixels under the windows, each with the one that the next position has in its place.
void VerticalMatmul::list_pixels(const Kernels& kernels, const uint64_t* image, const Part& part,
                                 Lists& lists) const {
    const Window& w = *shape_.window;
    const size_t scale = wide_ / 8, rows = in_rows(part.rows), columns = this->columns();
    const size_t channels = shape_.from.channels, tail = channels - (pixel_words_ - 1) * kWord;
    const uint64_t* const outside = outside_.corrected && lists.negated ? full_.data() : pad_.data();
    ListPair l{};
    uint32_t counts[3];
    l.counts = counts;
    l.origin = lists.entries;
    l.filled = !joined();
    for (size_t j = 0; j < rows; ++j) {
        const size_t y = w.row(part.row, 0) + j;  // wraps above the image
        uint32_t* const of_row = lists.counts + j * columns;
        const auto pixel = [&](size_t column) {
            const size_t x = column - w.left;
            return y < w.height && x < w.width ? image + (y * w.width + x) * pixel_words_ : outside;
        };
        for (size_t column = 0; column < columns; ++column) {
            if (slots_[column] == kNoSlot) continue;
            const uint64_t *a = pixel(column), *b = pixel(column + w.stride_x);
            uint32_t first = 0, second = 0;
            for (size_t piece = 0; piece < pieces(); ++piece) {
                const Chunk& chunk = chunks_[piece];
                const bool last = chunk.word + chunk.words == pixel_words_;
                l.flip = lists.negated ? ~uint64_t{0} : 0;
                l.last_flip = last ? l.flip & low_bits(tail) : l.flip;
                l.a = a + chunk.word;
                l.b = b + chunk.word;
                l.words = chunk.words;
                l.fill = static_cast<uint16_t>(chunk.words * kWord * scale);
                l.entries = lists.free;
                l.begins = lists.pixels + 4 * ((j * slot_count_ + slots_[column]) * pieces() + piece);
                kernels.list_pair(l);
                lists.free = lists.entries + l.begins[3];
                first += counts[0] + counts[1];
                second += counts[0] + counts[2];
            }
            of_row[column] = first;
            if (column + w.stride_x < columns) of_row[column + w.stride_x] = second;
        }
    }
}

// The lists of a chunk of a pair of positions: those of its pixels, one behind the other, or where it has one
// pixel, those themselves.
void VerticalMatmul::list_pairs(Lists& lists) const {
    const Window& w = *shape_.window;
    const size_t of_row = pairs_of_row(), step = pixel_inputs() * wide_ / 8, pieces = this->pieces();
    const bool joins = joined();
    const uint16_t* const entries = lists.entries;
    const uint32_t* of_pixel[kVerticalInputs / kWord];  // of the taps of a chunk
    uint32_t* begins = lists.begins;
    for (size_t pair = 0; pair < lists.pairs; ++pair) {
        const size_t y = pair / of_row * w.stride_y, x = 2 * (pair % of_row) * w.stride_x;
        for (size_t k = 0; k < chunks_.size(); ++k, begins += 4) {
            const Chunk& chunk = chunks_[k];
            for (size_t i = 0; i < chunk.taps; ++i) {
                const size_t tap = chunk.tap + i, row = y + tap / groups_ * w.dilation_y;
                const size_t slot = slots_[x + tap % groups_ * parts_ * w.dilation_x];
                of_pixel[i] = lists.pixels + 4 * ((row * slot_count_ + slot) * pieces + k % pieces);
            }
            if (!joins) {
                std::copy_n(of_pixel[0], 4, begins);
                continue;
            }
            const auto fill = static_cast<uint16_t>(chunk.taps * step);
            uint16_t* to = lists.free;
            for (size_t list = 0; list < 3; ++list) {
                uint16_t* const begin = to;
                begins[list] = static_cast<uint32_t>(begin - entries);
                for (size_t i = 0; i < chunk.taps; ++i) {
                    const uint16_t *from = entries + of_pixel[i][list],
                                   *end = entries + of_pixel[i][list + 1];
                    const auto further = static_cast<uint16_t>(i * step);
                    uint16_t* const next = to + (end - from);
                    // Sixteen at a time: what is too much, the next list replaces.
                    for (; from < end; from += 16, to += 16)
                        for (size_t e = 0; e < 16; ++e) to[e] = static_cast<uint16_t>(from[e] + further);
                    to = next;
                }
                for (size_t i = 0; i < kListUnit; ++i) to[i] = fill;
                to = begin + round_up(static_cast<size_t>(to - begin), kListUnit);
            }
            begins[3] = static_cast<uint32_t>(to - entries);
            lists.free = to;
        }
    }
}

// Where the counters of each row of the answer are, and how many inputs were listed under its window.
void VerticalMatmul::count_listed(const Part& part, Lists& lists) const {
    const Window& w = *shape_.window;
    size_t r = 0;
    for (size_t y = 0; y < part.rows; ++y) {
        for (size_t x = 0; x < width(); ++x, ++r) {
            uint32_t listed = 0;
            for (size_t ky = 0; ky < w.kernel_height; ++ky) {
                const uint32_t* row = lists.counts + (y * w.stride_y + ky * w.dilation_y) * columns();
                for (size_t kx = 0; kx < w.kernel_width; ++kx)
                    listed += row[x * w.stride_x + kx * w.dilation_x];
            }
            lists.first[r] = static_cast<uint32_t>(2 * y * pairs_of_row() + x);
            lists.listed[r] = static_cast<int32_t>(listed);
        }
    }
}

}  // namespace binarynet
