// How bitsliced products are laid out and shared. bitsliced_inputs.cpp turns rows round.
#include "bitsliced.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace binarynet {

namespace {

constexpr size_t kRegionBytes = 36 << 10;  // strings that a list reaches: of 48 KB of L1
constexpr size_t kListBytes = 4 << 20;     // of lists, which are 12 … 16 times as large as the weights
constexpr size_t kReach = 60 << 10;        // bytes that an entry tells apart, with the zero word behind them

size_t span_of(const Shape& shape, bool direct, size_t wide, size_t pitch) {
    if (direct) return wide;
    const Window& w = *shape.window;
    return wide + round_up((w.kernel_height - 1) * w.dilation_y * pitch / 8, 8);
}

size_t pitch_of(const Window& w) {
    return round_up(std::max(w.out_width(), w.width), 8);
}

}  // namespace

bool BitslicedMatmul::takes(const Shape& shape, const Code& weight) {
    if (shape.from.store != Value::bits || !shape.from.code.is_sign() || !weight.is_sign() ||
        shape.groups != 1 || shape.depth >= size_t{1} << 24)
        return false;
    if (shape.in_place()) return true;
    const Window& w = *shape.window;
    // Strings move by less than a word, and the lists of one word of channels reach theirs.
    const bool near = w.left < kWord && (w.kernel_width - 1) * w.dilation_x < kWord;
    return w.stride_y == 1 && w.stride_x == 1 && near && w.kernel_width * kWord <= kSlicedCount &&
           w.kernel_height <= 64 && w.dilation_y <= 64 &&
           w.kernel_width * kWord * span_of(shape, false, 64, pitch_of(w)) <= kReach &&
           std::min(w.top, w.bottom) <= (w.kernel_height - 1) * w.dilation_y;
}

BitslicedMatmul::BitslicedMatmul(const Shape& shape, const Outside& outside, bool direct, const Order& order,
                                 const Kernels& kernels)
    : shape_(shape),
      outside_(outside),
      direct_(direct),
      wide_(kernels.vertical_bytes),
      pixel_words_(direct ? order.words() : shape.from.row_words()),
      channels_(direct ? order.used() : shape.from.channels),
      order_(order) {
    if (!direct) {
        const Window& w = *shape.window;
        pitch_ = pitch_of(w);
        rows_ = std::max(w.height + std::max(w.top, w.bottom), w.out_height());
    }
    span_ = span_of(shape, direct, wide_, pitch_);
    planes_ = std::max(static_cast<int>(std::bit_width(2 * shape.depth + 2)) + 1, kVerticalPlanes + 2);
    // A row of the kernel counts no further than a counter of a list.
    const size_t together =
        std::clamp<size_t>(kRegionBytes / region_bytes(1), 1, kSlicedCount / kWord / columns());
    const size_t regions = (pixel_words_ + together - 1) / together;
    for (size_t i = 0; i < regions; ++i) {
        const size_t word = pixel_words_ * i / regions, words = pixel_words_ * (i + 1) / regions - word;
        regions_.push_back({word, words, inputs_bytes_});
        inputs_bytes_ += round_up(region_bytes(words) + wide_, kLine);  // and a zero word
    }
}

std::optional<BitslicedMatmul> BitslicedMatmul::plan(const Shape& shape, const Outside& outside, bool direct,
                                                     const Order& order, const Kernels& kernels,
                                                     bool forced) {
    if (!takes(shape, Code{})) return std::nullopt;
    BitslicedMatmul made(shape, outside, direct, order, kernels);
    if (!forced && checked_product(made.pairs(), shape.depth) * 3 / 2 > kListBytes) return std::nullopt;
    return made;
}

size_t BitslicedMatmul::lanes_of(size_t images) const {
    if (direct_) return images * shape_.positions();
    return ((images - 1) * rows_ + shape_.window->out_height()) * pitch_;
}

size_t BitslicedMatmul::place(const Region& region, size_t ky, size_t kx, size_t channel) const {
    return (kx * region.words * kWord + channel - region.word * kWord) * span_ + ky * row_step();
}

void BitslicedMatmul::seal(const PackedWeights& weight, const Finish& finish,
                           const std::vector<std::vector<bool>>& outside, std::vector<uint32_t> classes) {
    classes_ = std::move(classes);
    class_count_ = outside.size();
    groups_ = (class_count_ + 3) / 4;
    const size_t channels = shape_.channels, tap_depth = shape_.depth / shape_.taps();
    const auto planes = static_cast<size_t>(planes_), depth = shape_.depth;
    // An output with more ones than zeros is listed by its zeros.
    PackedWeights listed = weight;
    std::vector<uint8_t> negated(channels);
    for (size_t c = 0; c < channels; ++c) {
        negated[c] = 2 * popcount(weight.row(0, c, depth), 0, depth) > depth;
        uint64_t* row = &listed.words[c * words_for(depth)];
        for (size_t k = 0; k < words_for(depth) && negated[c]; ++k)
            row[k] = ~row[k] & low_bits(depth - k * kWord);
    }
    starts_.assign(2 * pairs() * planes * groups_, 0);
    flip_.assign(2 * pairs(), 0);
    for (size_t c = 0; c < channels; ++c) {
        // acc ≥ t; of −acc, which is listed where negated: not −acc ≥ 1 − t.
        const int64_t limit = finish.threshold().i32[c], t = negated[c] ? 1 - limit : limit;
        flip_[c] = (finish.threshold().rising[c] != 0) == (negated[c] != 0) ? 255 : 0;
        const uint64_t* row = listed.row(0, c, depth);
        std::vector<int64_t> of_tap(shape_.taps());
        for (size_t tap = 0; tap < of_tap.size(); ++tap)
            of_tap[tap] = 2 * static_cast<int64_t>(popcount(row, tap * tap_depth, tap_depth)) -
                          static_cast<int64_t>(tap_depth);
        for (size_t k = 0; k < class_count_; ++k) {
            // acc = 2 (2 c − m) − Σ w ≥ t, over the taps inside.
            int64_t sum = t;
            for (size_t tap = 0; tap < of_tap.size(); ++tap)
                if (!outside[k][tap]) sum += of_tap[tap];
            const auto most = static_cast<int64_t>(depth);
            const int64_t least = std::clamp<int64_t>((sum + 1) >> 1, -most, most + 1);
            for (size_t p = 0; p < planes; ++p) {
                uint8_t& start = starts_[(c * planes + p) * groups_ + k / 4];
                start = static_cast<uint8_t>(start | (-least >> p & 1) << k % 4);
            }
        }
    }
    list_weights(direct_ ? order_.lay_out(listed, 0, depth) : std::move(listed.words));
    list_all();
}

// Words of the weights under a tap, of the outputs a and b or, where there is no b, a alone.
void BitslicedMatmul::list_weights(const std::vector<uint64_t>& rows) {
    const size_t row_words = direct_ ? order_.words() : words_for(shape_.depth);
    const auto read = [&](size_t output, size_t ky, size_t kx, size_t word) {
        if (output >= shape_.channels) return uint64_t{0};
        const uint64_t* row = &rows[output * row_words];
        if (direct_) return row[word];
        return read_bits(row, (ky * columns() + kx) * channels_ + word * kWord,
                         std::min(kWord, channels_ - word * kWord));
    };
    const auto each_word = [&](const Region& region, size_t first_row, size_t last_row, auto&& body) {
        for (size_t ky = first_row; ky < last_row; ++ky)
            for (size_t kx = 0; kx < columns(); ++kx)
                for (size_t word = region.word; word < region.word + region.words; ++word) body(ky, kx, word);
    };
    // Lists of a region: of all rows of the kernel or, where counters would not hold them, of each.
    struct Chunk {
        const Region& region;
        size_t first_row, last_row;
    };
    std::vector<Chunk> chunks;
    for (const Region& region : regions_) {
        size_t most = 0;
        for (size_t c = 0; c < shape_.channels; ++c) {
            size_t ones = 0;
            each_word(region, 0, kernel_rows(),
                      [&](size_t ky, size_t kx, size_t word) { ones += popcount(read(c, ky, kx, word)); });
            most = std::max(most, ones);
        }
        const size_t step = most <= kSlicedCount ? kernel_rows() : 1;
        for (size_t ky = 0; ky < kernel_rows(); ky += step) chunks.push_back({region, ky, ky + step});
    }
    for (const Chunk& chunk : chunks) offsets_.push_back(chunk.region.offset);
    entries_.reserve(pairs() * (shape_.depth + 3 * kListUnit * chunks.size()));
    for (size_t a = 0; a < 2 * pairs(); a += 2)
        for (const Chunk& chunk : chunks) {
            const auto list = [&](auto&& chosen) {
                begins_.push_back(static_cast<uint32_t>(entries_.size()));
                each_word(chunk.region, chunk.first_row, chunk.last_row,
                          [&](size_t ky, size_t kx, size_t word) {
                              uint64_t bits = chosen(read(a, ky, kx, word), read(a + 1, ky, kx, word));
                              const size_t at = place(chunk.region, ky, kx, word * kWord);
                              for (; bits; bits &= bits - 1)
                                  entries_.push_back(static_cast<uint16_t>(
                                      at + static_cast<size_t>(__builtin_ctzll(bits)) * span_));
                          });
                const auto fill = static_cast<uint16_t>(region_bytes(chunk.region.words));
                while ((entries_.size() - begins_.back()) % kListUnit) entries_.push_back(fill);
            };
            list([](uint64_t first, uint64_t second) { return first & second; });
            list([](uint64_t first, uint64_t second) { return first & ~second; });
            list([](uint64_t first, uint64_t second) { return second & ~first; });
            begins_.push_back(static_cast<uint32_t>(entries_.size()));
        }
}

void BitslicedMatmul::list_all() {
    for (const Region& region : regions_) {
        SlicedList list{static_cast<uint32_t>(entries_.size()), 0, region.offset};
        const auto end_list = [&] {
            while (entries_.size() % kListUnit)
                entries_.push_back(static_cast<uint16_t>(region_bytes(region.words)));
            list.end = static_cast<uint32_t>(entries_.size());
            all_.push_back(list);
            list.begin = list.end;
        };
        for (size_t ky = 0; ky < kernel_rows(); ++ky)
            for (size_t kx = 0; kx < columns(); ++kx)
                for (size_t c = region.word * kWord; c < (region.word + region.words) * kWord; ++c) {
                    if (c >= channels_) continue;
                    entries_.push_back(static_cast<uint16_t>(place(region, ky, kx, c)));
                    if (entries_.size() - list.begin == kSlicedCount / kListUnit * kListUnit) end_list();
                }
        if (entries_.size() > list.begin) end_list();
    }
    entries_.resize(entries_.size() + kListSlack);
    entries_.shrink_to_fit();
}

size_t BitslicedMatmul::weight_bytes() const {
    return entries_.size() * 2 + begins_.size() * 4 + starts_.size();
}

std::string BitslicedMatmul::text() const {
    return "bitsliced, " + std::to_string(lanes()) + " rows a word" +
           (classes_.empty() ? "" : ", exact zero padding");
}

Work BitslicedMatmul::work(const Frame& frame) const {
    const auto number = [](size_t n) { return static_cast<double>(n); };
    const double blocks = number(this->blocks(frame.images)), chunks = number(regions_.size());
    const double outputs = number(2 * pairs()), words = number(lanes() / kWord);
    Work work(Work::calls, blocks);
    // As if half of the weights were listed, and those of two outputs independent; a list is filled up.
    const double depth = number(kernel_rows() * columns() * pixel_words_ * kWord);
    const double listed = 0.75 * depth + 1.5 * kListUnit * chunks;
    work[Work::sliced_words] = blocks * (number(pairs()) * listed + depth) / 1024;
    work[Work::sliced_outputs] = blocks * outputs * (chunks > 1 ? 1 + chunks / 2 : 1);
    const double strings = direct_ ? words : number(span_ / 8 + 2) + 2 * number(columns());
    work[Work::transposed] =
        blocks * (number(pixel_words_) * strings + number(words_for(shape_.channels)) * words);
    work[frame.weights()] = blocks * number(pairs()) * depth * 1.5 / 1024 / 8;
    if (!classes_.empty()) work[Work::taps] = blocks * number(lanes());
    return work;
}

}  // namespace binarynet
