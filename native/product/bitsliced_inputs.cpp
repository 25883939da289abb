// Rows turned round for the bitsliced kernels, and their answers turned back.
#include <algorithm>
#include <cstring>
#include <utility>

#include "bitsliced.h"

namespace binarynet {

namespace {

constexpr size_t kNone = SIZE_MAX;

// Bits [begin, end).
void set_range(uint64_t* words, size_t begin, size_t end) {
    for (; begin < end; begin = begin / kWord * kWord + kWord)
        words[begin / kWord] |=
            low_bits(std::min(end - begin / kWord * kWord, kWord)) & ~low_bits(begin % kWord);
}

}  // namespace

// Of one slot and one block.
struct BitslicedMatmul::Scratch {
    uint8_t *inputs, *counters, *classes, *out;
    size_t* rows;             // (lanes): row of the answer, or kNone
    uint32_t* positions;      // (lanes): of the output, where there is a row
    const uint64_t** pixels;  // (span + 2 words): of each lane of the strings, or null for what lies outside
    uint64_t *strings, *masks;
    size_t bytes;  // in all
};

BitslicedMatmul::Scratch BitslicedMatmul::scratch(uint8_t* memory) const {
    size_t used = 0;
    const auto take = [&](size_t bytes) {
        const size_t at = std::exchange(used, used + round_up(bytes, kLine));
        return memory ? memory + at : nullptr;
    };
    const size_t words = span_ / 8 + 2;
    Scratch s{};
    s.inputs = take(inputs_bytes_);
    s.counters = take(2 * kSlicedPairs * static_cast<size_t>(planes_) * wide_);
    s.classes = take(groups_ * 16 * wide_);
    s.out = take(2 * pairs() * wide_);
    s.rows = reinterpret_cast<size_t*>(take(lanes() * sizeof(size_t)));
    s.positions = reinterpret_cast<uint32_t*>(take(lanes() * 4));
    if (!direct_) {
        s.pixels = reinterpret_cast<const uint64_t**>(take(words * kWord * sizeof(uint64_t*)));
        s.strings = reinterpret_cast<uint64_t*>(take(words * kWord * 8 + wide_));
        s.masks = reinterpret_cast<uint64_t*>(take(columns() * words * 8 + wide_));
    }
    s.bytes = used;
    return s;
}

size_t BitslicedMatmul::scratch_bytes() const {
    return scratch(nullptr).bytes;
}

void BitslicedMatmul::load(const Frame& frame, const uint64_t* source, size_t first, const Scratch& s) const {
    for (const Region& region : regions_)
        std::memset(s.inputs + region.offset + region_bytes(region.words), 0, wide_);
    if (!direct_) return load_strings(frame, source, first, s);
    const size_t rows = lanes_of(frame.images);
    for (size_t lane = 0; lane < lanes(); ++lane) s.rows[lane] = first + lane < rows ? first + lane : kNone;
    uint64_t from[kWord], to[kWord];
    for (const Region& region : regions_)
        for (size_t word = region.word; word < region.word + region.words; ++word)
            for (size_t group = 0; group < lanes() / kWord; ++group) {
                const size_t row = first + group * kWord,
                             count = row < rows ? std::min(kWord, rows - row) : 0;
                for (size_t i = 0; i < kWord; ++i)
                    from[i] = i < count ? source[(row + i) * pixel_words_ + word] : 0;
                frame.kernels.transpose(from, to);
                uint8_t* at = s.inputs + place(region, 0, 0, word * kWord) + region.offset + group * 8;
                for (size_t i = 0; i < kWord; ++i) std::memcpy(at + i * span_, &to[i], 8);
            }
}

void BitslicedMatmul::load_strings(const Frame& frame, const uint64_t* source, size_t first,
                                   const Scratch& s) const {
    const Window& w = *shape_.window;
    const size_t words = span_ / 8 + 2, width = w.out_width(), height = w.out_height();
    std::fill_n(s.rows, lanes(), kNone);
    std::fill_n(s.pixels, words * kWord, nullptr);
    std::fill_n(s.masks, columns() * words, 0);
    // Strings begin a word before the block and end one behind it. Row after row of that: the pixels there,
    // the answers, and for each column of the kernel the lanes under which it sees the image.
    const size_t end = first + kWord + span_ * 8, begin = first < kWord ? 0 : first - kWord;
    for (size_t row = begin / pitch_; row * pitch_ < end; ++row) {
        const size_t lane = row * pitch_ + kWord;  // of the strings, whose first is `first`
        const size_t image = row / rows_, oy = row % rows_, y = oy - w.top;  // wraps above the image
        if (image >= frame.images) break;
        if (y < w.height) {
            const uint64_t* pixel = source + (image * w.height + y) * w.width * pixel_words_;
            for (size_t x = 0; x < w.width; ++x, pixel += pixel_words_)
                if (lane + x >= first && lane + x < first + words * kWord) s.pixels[lane + x - first] = pixel;
        }
        if (oy < height)
            for (size_t x = 0; x < width; ++x) {
                const size_t at = row * pitch_ + x - first;
                if (at >= lanes()) continue;
                s.positions[at] = static_cast<uint32_t>(oy * width + x);
                s.rows[at] = image * w.positions() + oy * width + x;
            }
    }
    for (size_t row = first / pitch_; row * pitch_ < first + span_ * 8; ++row)
        for (size_t kx = 0; kx < columns(); ++kx) {
            // Lane x of the row sees x + move.
            const auto move = static_cast<ptrdiff_t>(kx * w.dilation_x) - static_cast<ptrdiff_t>(w.left);
            const auto at = static_cast<ptrdiff_t>(row * pitch_) - static_cast<ptrdiff_t>(first);
            const auto pitch = static_cast<ptrdiff_t>(pitch_), wide = static_cast<ptrdiff_t>(w.width);
            const ptrdiff_t from = at + std::max<ptrdiff_t>(0, -move), to = at + std::min(pitch, wide - move);
            const auto most = static_cast<ptrdiff_t>(span_ * 8);
            if (from < to && to > 0 && from < most)
                set_range(s.masks + kx * words, static_cast<size_t>(std::max<ptrdiff_t>(from, 0)),
                          static_cast<size_t>(std::min(to, most)));
        }
    const uint64_t outside = outside_.code ? ~uint64_t{0} : 0;
    uint64_t from[kWord], to[kWord];
    for (const Region& region : regions_)
        for (size_t word = region.word; word < region.word + region.words; ++word) {
            for (size_t group = 0; group < words; ++group) {
                const uint64_t** const pixels = s.pixels + group * kWord;
                for (size_t i = 0; i < kWord; ++i) from[i] = pixels[i] ? pixels[i][word] : outside;
                frame.kernels.transpose(from, to);
                for (size_t i = 0; i < kWord; ++i) s.strings[i * words + group] = to[i];
            }
            const size_t channels = std::min(kWord, channels_ - word * kWord);
            for (size_t kx = 0; kx < columns(); ++kx) {
                const auto move = static_cast<ptrdiff_t>(kx * w.dilation_x) - static_cast<ptrdiff_t>(w.left);
                // Bits from `move` on, in two words.
                const size_t skip = move < 0 ? 0 : 1;
                Slide slide{};
                slide.strings = s.strings + skip;
                slide.channels = channels;
                slide.stride = words;
                slide.words = span_ / 8;
                slide.down = static_cast<size_t>(move < 0 ? move + 64 : move);
                slide.mask = s.masks + kx * words;
                slide.outside = outside;
                slide.out = s.inputs + region.offset + place(region, 0, kx, word * kWord);
                frame.kernels.slide(slide);
            }
        }
}

// Which lanes are of which class, and of each four of them together.
void BitslicedMatmul::find_classes(const Scratch& s) const {
    std::memset(s.classes, 0, groups_ * 16 * wide_);
    const auto entry = [&](size_t group, size_t n) {
        return reinterpret_cast<uint64_t*>(s.classes + (16 * group + n) * wide_);
    };
    if (classes_.empty()) {
        std::memset(entry(0, 1), 0xff, wide_);
    } else {
        for (size_t lane = 0; lane < lanes(); ++lane) {
            if (s.rows[lane] == kNone) continue;
            const size_t k = classes_[s.positions[lane]];
            entry(k / 4, size_t{1} << k % 4)[lane / kWord] |= uint64_t{1} << lane % kWord;
        }
    }
    for (size_t group = 0; group < groups_; ++group)
        for (size_t n = 1; n < 16; ++n)
            for (size_t i = 0; i < wide_ / 8; ++i)
                entry(group, n)[i] = entry(group, n & (n - 1))[i] | entry(group, n & -n)[i];
}

void BitslicedMatmul::store(const Frame& frame, uint64_t* target, size_t begin, size_t end,
                            const Scratch& s) const {
    const size_t row_words = words_for(shape_.channels);
    uint64_t from[kWord], to[kWord];
    for (size_t word = begin; word < end; ++word) {
        const size_t outputs = std::min(kWord, shape_.channels - word * kWord);
        for (size_t group = 0; group < lanes() / kWord; ++group) {
            const size_t* const rows = s.rows + group * kWord;
            const uint8_t* const out = s.out + word * kWord * wide_ + group * 8;
            for (size_t i = 0; i < kWord; ++i) {
                from[i] = 0;
                if (i < outputs) std::memcpy(&from[i], out + i * wide_, 8);
            }
            frame.kernels.transpose(from, to);
            for (size_t i = 0; i < kWord; ++i)
                if (rows[i] != kNone) target[rows[i] * row_words + word] = to[i];
        }
    }
}

void BitslicedMatmul::run(const Frame& frame, int source, int target) const {
    const size_t blocks = this->blocks(frame.images), words = words_for(shape_.channels);
    const bool shared = frame.worthwhile(work(frame));
    const size_t wanted = shared ? static_cast<size_t>(frame.threads) : 1;
    // Where blocks do not go round, also by outputs: those of a word stay together.
    const size_t splits = blocks % wanted && blocks < 4 * wanted ? std::min(words, 2 * wanted) : 1;
    parallel_for(blocks * splits, shared ? frame.threads : 1, [&](size_t task, int slot) {
        const size_t block = task / splits, split = task % splits;
        const size_t begin = words * split / splits, end = words * (split + 1) / splits;
        const Scratch s = scratch(frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes);
        load(frame, frame.at<uint64_t>(source), block * lanes(), s);
        find_classes(s);
        const size_t first = begin * kWord, last = std::min(2 * pairs(), end * kWord);
        Sliced v{};
        v.pairs = (last - first) / 2;
        v.chunks = offsets_.size();
        v.entries = entries_.data();
        v.begins = begins_.data() + first / 2 * v.chunks * 4;
        v.inputs = s.inputs;
        v.offsets = offsets_.data();
        v.all = all_.data();
        v.all_count = all_.size();
        v.planes = planes_;
        v.counters = s.counters;
        v.groups = groups_;
        v.classes = s.classes;
        v.starts = starts_.data() + first * static_cast<size_t>(planes_) * groups_;
        v.flip = flip_.data() + first;
        v.out = s.out + first * wide_;
        frame.kernels.sliced_bits(v);
        store(frame, frame.at<uint64_t>(target), begin, end, s);
    });
}

}  // namespace binarynet
