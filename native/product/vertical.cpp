// How vertical products are laid out, cut up and run. vertical_lists.cpp makes the lists.
#include "vertical.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace binarynet {

namespace {

// Lists and counters of a part: with a chunk of the weights, L2 should hold them.
constexpr size_t kPartBytes = 384 << 10;
// Rows of a part whose accumulators something else reads: (rows, outputs of a block).
constexpr size_t kMostRows = 256;

// Of all taps of all positions, those that lie in the image: the others list nothing.
double share_inside(const Window& w) {
    size_t rows = 0, columns = 0;
    for (size_t y = 0; y < w.out_height(); ++y)
        for (size_t k = 0; k < w.kernel_height; ++k) rows += w.row(y, k) < w.height;
    for (size_t x = 0; x < w.out_width(); ++x)
        for (size_t k = 0; k < w.kernel_width; ++k) columns += w.column(x, k) < w.width;
    return static_cast<double>(rows * columns) / static_cast<double>(w.positions() * w.taps());
}

}  // namespace

VerticalMatmul::VerticalMatmul(const Shape& shape, const Outside& outside, bool direct, const Order& order,
                               const Kernels& kernels)
    : shape_(shape),
      outside_(outside),
      direct_(direct),
      order_(order),
      wide_(kernels.vertical_bytes),
      pixel_words_(direct ? order.words() : shape.from.row_words()) {
    const size_t lanes = 8 * wide_, channels = shape.channels;
    if (!direct) {
        const Window& w = *shape.window;
        // Parts need positions that are neighbours, and words that divide.
        const bool next = w.stride_x == 1 && w.dilation_x == 1;
        while (next && parts_ < 4 && parts_ < w.kernel_width && 2 * parts_ * channels <= lanes &&
               wide_ / (2 * parts_) >= 8)
            parts_ *= 2;
        used_parts_ = std::min(parts_, w.kernel_width);
        groups_ = (w.kernel_width + parts_ - 1) / parts_;
        slots_.assign(w.left + w.width + w.right + parts_, kNoSlot);
        for (size_t pair = 0; pair < pairs_of_row(); ++pair)
            for (size_t g = 0; g < groups_; ++g) {
                uint32_t& slot = slots_[2 * pair * w.stride_x + g * parts_ * w.dilation_x];
                if (slot == kNoSlot) slot = static_cast<uint32_t>(slot_count_++);
            }
        full_.assign(pixel_words_, ~uint64_t{0});
        full_.back() = low_bits(shape.from.channels - (pixel_words_ - 1) * kWord);
        pad_ = outside.code ? full_ : std::vector<uint64_t>(pixel_words_);
    }
    blocks_ = (channels + outputs() - 1) / outputs();
    if (!direct && !outside.code) inside_ = share_inside(*shape.window);
    const size_t most_words = kVerticalInputs / kWord;
    if (pixel_words_ <= most_words) {
        const size_t together = most_words / pixel_words_;
        for (size_t tap = 0; tap < taps(); tap += together)
            chunks_.push_back({tap, std::min(together, taps() - tap), 0, pixel_words_});
    } else {
        const size_t pieces = (pixel_words_ + most_words - 1) / most_words;
        for (size_t tap = 0; tap < taps(); ++tap)
            for (size_t i = 0; i < pieces; ++i) {
                const size_t word = pixel_words_ * i / pieces;
                chunks_.push_back({tap, 1, word, pixel_words_ * (i + 1) / pieces - word});
            }
    }
    for (const Chunk& chunk : chunks_) {
        offsets_.push_back(block_bytes_);
        block_bytes_ += (chunk.taps * chunk.words * kWord + 1) * wide_;
    }
    // Counters begin at most at `middle` and count at most the depth.
    middle_ = static_cast<int32_t>(shape.depth / 2 + 1);
    planes_ = kVerticalPlanes;
    while ((shape.depth + static_cast<size_t>(middle_) + 1) >> planes_) ++planes_;
    const size_t rows = direct ? kMostRows : shape.window->out_height();
    while (most_rows_ < rows && place(most_rows_ + 1, nullptr, nullptr) <= kPartBytes &&
           (most_rows_ + 1) * width() <= kMostRows)
        ++most_rows_;
    if (direct && most_rows_ > 1) most_rows_ &= ~size_t{1};
}

std::optional<VerticalMatmul> VerticalMatmul::plan(const Shape& shape, const Outside& outside, bool direct,
                                                   const Order& order, const PackedWeights& weight,
                                                   const Kernels& kernels, bool forced) {
    if (!takes(shape, weight.code)) return std::nullopt;
    VerticalMatmul made(shape, outside, direct, order, kernels);
    // Words that are mostly empty lose to popcount, whatever the number of rows.
    const size_t used = shape.channels * made.parts_;
    if (!forced && used * 4 < 8 * kernels.vertical_bytes) return std::nullopt;
    return made;
}

bool VerticalMatmul::takes(const Shape& shape, const Code& weight) {
    return shape.from.store == Value::bits && shape.from.code.is_sign() && weight.is_sign() &&
           shape.groups == 1 && shape.depth < size_t{1} << 24;
}

// Word i of a chunk: bit i of the weights of all outputs. Part j of a tap's group is the tap j further right.
// 64 outputs × 64 inputs are turned at a time: a net is ready when its weights have been read once.
void VerticalMatmul::lay_out(const PackedWeights& weight, const Kernels& kernels) {
    weights_ = Buffer(checked_product(blocks_, block_bytes_));
    const size_t per_block = outputs(), channels = shape_.from.channels;
    // Copied only where pixels have tails.
    const bool tails = direct_ && order_.used() != shape_.depth;
    const std::vector<uint64_t> copy =
        tails ? order_.lay_out(weight, 0, shape_.depth) : std::vector<uint64_t>();
    const uint64_t* const rows = tails ? copy.data() : weight.words.data();
    const size_t row_words = tails ? order_.words() : words_for(shape_.depth);
    const size_t left = direct_ ? pixel_inputs() : channels;
    static_assert(kWord == 64, "what is turned");
    uint64_t from[kWord], turned[kWord];
    for (size_t c = 0; c < shape_.channels; c += kWord) {
        const size_t count = std::min(kWord, shape_.channels - c);
        uint8_t* const block = weights_.as<uint8_t>() + c / per_block * block_bytes_;
        for (size_t k = 0; k < chunks_.size(); ++k) {
            const Chunk& chunk = chunks_[k];
            for (size_t tap = 0; tap < chunk.taps; ++tap)
                for (size_t part = 0; part < parts_; ++part) {
                    const size_t ky = (chunk.tap + tap) / groups_;
                    const size_t kx = (chunk.tap + tap) % groups_ * parts_ + part;
                    if (!direct_ && kx >= shape_.window->kernel_width) continue;
                    // A part has whole words of 64 outputs.
                    const size_t lane = part * per_block + c % per_block;
                    uint8_t* to = block + offsets_[k] + tap * chunk.words * kWord * wide_ + lane / 8;
                    const size_t origin = direct_ ? 0 : (ky * shape_.window->kernel_width + kx) * channels;
                    for (size_t w = chunk.word; w < chunk.word + chunk.words; ++w) {
                        const size_t inputs = std::min(kWord, left - w * kWord);
                        for (size_t i = 0; i < count; ++i)
                            from[i] = read_bits(&rows[(c + i) * row_words], origin + w * kWord, inputs);
                        std::fill(from + count, from + kWord, 0);
                        kernels.transpose(from, turned);
                        for (size_t i = 0; i < kWord; ++i, to += wide_)
                            std::memcpy(to, &turned[i], sizeof turned[i]);
                    }
                }
        }
    }
}

void VerticalMatmul::seal(const PackedWeights& weight, const Finish& finish,
                          const std::vector<std::vector<bool>>& outside, std::vector<uint32_t> classes,
                          const Kernels& kernels) {
    lay_out(weight, kernels);
    classes_ = std::move(classes);
    const size_t channels = shape_.channels, tap_depth = shape_.depth / shape_.taps();
    bases_.resize(outside.size() * channels);
    for (size_t c = 0; c < channels; ++c) {
        const uint64_t* row = weight.row(0, c, shape_.depth);
        std::vector<int32_t> of_tap(shape_.taps());
        for (size_t tap = 0; tap < of_tap.size(); ++tap)
            of_tap[tap] = 2 * static_cast<int32_t>(popcount(row, tap * tap_depth, tap_depth)) -
                          static_cast<int32_t>(tap_depth);
        for (size_t k = 0; k < outside.size(); ++k)
            for (size_t tap = 0; tap < of_tap.size(); ++tap)
                if (!outside[k][tap]) bases_[k * channels + c] -= of_tap[tap];
    }
    if (!finish.compares()) return;
    // acc ≥ t  ⇔  2 c ≥ T + m with T = ⌈(t + Σ w) / 2⌉; of −acc: acc < t  ⇔  2 c ≥ T + m with T =
    // ⌈(Σ w − t + 1) / 2⌉. And 2 c ≥ T + m  ⇔  c + middle − ⌊m / 2⌋ ≥ middle + ⌈(T + m mod 2) / 2⌉.
    const size_t bytes = blocks_ * wide_ / parts_, planes = static_cast<size_t>(planes_);
    flip_.assign(2 * bytes, 0);  // negated, the other way round
    limits_ = Buffer(checked_product(outside.size() * 4 * planes, bytes));
    std::memset(limits_.as<uint8_t>(), 0xff, limits_.bytes());  // what does not exist is never reached
    const auto half = [](int64_t x) { return (x + 1) >> 1; };   // rounds up
    const int64_t most = (int64_t{1} << planes_) - 1;
    for (size_t c = 0; c < channels; ++c) {
        uint8_t& flip = flip_[c / 8 + (finish.threshold().rising[c] ? bytes : 0)];
        flip = static_cast<uint8_t>(flip | 1 << c % 8);
        for (size_t k = 0; k < outside.size(); ++k) {
            const int64_t sum = -int64_t{bases_[k * channels + c]}, t = finish.threshold().i32[c];
            for (size_t table = 0; table < 4; ++table) {
                const int64_t twice = table / 2 ? half(sum - t + 1) : half(sum + t);
                const int64_t limit =
                    std::clamp<int64_t>(middle_ + half(twice + static_cast<int64_t>(table % 2)), 0, most);
                for (size_t p = 0; p < planes; ++p) {
                    uint8_t& digits = limits_.as<uint8_t>()[((k * 4 + table) * planes + p) * bytes + c / 8];
                    if (!(limit >> p & 1)) digits = static_cast<uint8_t>(digits & ~(1 << c % 8));
                }
            }
        }
    }
}

size_t VerticalMatmul::scratch_bytes(const Finish& finish) const {
    return place(most_rows_, nullptr, nullptr) + (finish.reads() ? acc_bytes() : 0);
}

size_t VerticalMatmul::weight_bytes() const {
    return weights_.bytes() + limits_.bytes() + flip_.size() + 4 * (bases_.size() + classes_.size());
}

std::string VerticalMatmul::text() const {
    return "vertical, " + std::to_string(outputs()) + " outputs a word" +
           (direct_      ? ""
            : parts_ > 1 ? ", pixels in place, " + std::to_string(used_parts_) + " taps a word"
                         : ", pixels in place") +
           (classes_.empty() ? "" : ", exact zero padding");
}

// As if half of the inputs were set, and those of two neighbours independent.
Work VerticalMatmul::work(const Frame& frame, const Finish& finish) const {
    const auto number = [](size_t n) { return static_cast<double>(n); };
    const size_t rows = direct_ ? frame.images * shape_.positions() : height();
    const double images = direct_ ? 1 : number(frame.images), blocks = number(blocks_);
    const double parts = std::ceil(number(rows) / number(most_rows_)) * images;
    const double pairs = number(this->pairs(rows)) * images, chunks = number(chunks_.size());
    const double depth = number(taps() * pixel_inputs());
    Work work(Work::vertical_calls, parts * chunks * blocks);
    // A list is filled up by half a unit.
    work[Work::vertical_words] = pairs * blocks * (0.75 * inside_ * depth + 1.5 * kListUnit * chunks) / 1024;
    work[Work::vertical_counters] = 2 * pairs * chunks * blocks;
    // One row or two read the lines that hold a word of their inputs.
    const double line = number(std::max<size_t>(1, kLine / wide_));
    const double read = direct_ && rows <= 2 ? 1 - std::pow(0.5, number(rows) * line) : 1;
    work[frame.weights()] = read * parts * number(weights_.bytes()) / 1024;
    if (direct_) {
        work[Work::vertical_lists] = pairs * chunks;
        work[Work::vertical_listed] = 2 * pairs * depth / 1024;
    } else {
        const double pixels = parts * number(in_rows(std::min(most_rows_, rows)) * slot_count_);
        work[Work::vertical_lists] = pixels * number(pieces());
        work[Work::vertical_listed] = 2 * pixels * number(pixel_inputs()) / 1024;
        if (joined()) work[Work::vertical_joined] = pairs * depth / 1024;
    }
    const double sums = number(rows) * images * number(width() * shape_.channels);
    if (finish.compares()) {
        work[Work::vertical_compared] = number(rows * width()) * images * blocks * number(used_parts_);
    } else {
        work[Work::vertical_widened] = sums * planes_ / 1024;
        work[Work::stored] = sums;
    }
    finish.count(work, sums);
    return work;
}

void VerticalMatmul::run_part(const Frame& frame, int source, int target, const Finish& finish,
                              const Part& part, size_t block_begin, size_t block_end, int slot) const {
    uint8_t* scratch = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
    auto* const acc = reinterpret_cast<int32_t*>(scratch);
    if (finish.reads()) scratch += acc_bytes();
    const Lists lists = list(frame, frame.at<uint64_t>(source), part, scratch);
    const size_t positions = direct_ ? 1 : shape_.window->positions();
    const size_t first = direct_ ? part.row : part.image * positions + part.row * width();
    Vertical v{};
    v.pairs = lists.pairs;
    v.chunks = chunks_.size();
    v.entries = lists.entries;
    v.begins = lists.begins;
    v.weights = weights_.as<uint8_t>();
    v.block_bytes = block_bytes_;
    v.offsets = offsets_.data();
    v.block_begin = block_begin;
    v.block_end = block_end;
    v.planes = planes_;
    v.counters = lists.counters;
    v.rows = part.rows * width();
    v.parts = parts_;
    v.used_parts = used_parts_;
    v.first = lists.first;
    v.listed = lists.listed;
    v.classes = classes_.empty() ? nullptr : &classes_[part.row * width()];
    v.negated = lists.negated;
    if (finish.compares()) {
        VerticalBits bits{};
        static_cast<Vertical&>(bits) = v;
        std::fill_n(lists.starts, 2 * v.pairs, 0);
        for (size_t r = 0; r < v.rows; ++r)
            lists.starts[v.first[r]] = static_cast<uint32_t>(middle_ - v.listed[r] / 2);
        bits.starts = lists.starts;
        bits.limits = limits_.as<uint8_t>();
        bits.limit_bytes = flip_.size() / 2;
        bits.flip = flip_.data();
        bits.out_stride = bits.out_bytes = words_for(shape_.channels) * 8;
        bits.out = frame.at<uint8_t>(target) + first * bits.out_stride;
        frame.kernels.vertical_bits(bits);
        if (block_end == blocks_)
            finish.clear_tails(frame, target, first, v.rows, std::min(bits.limit_bytes, bits.out_bytes));
        return;
    }
    VerticalI32 i32{};
    static_cast<Vertical&>(i32) = v;
    i32.bases = bases_.data();
    i32.base_stride = i32.channels = shape_.channels;
    if (!finish.reads()) {
        i32.out = frame.at<int32_t>(target) + first * shape_.channels;
        i32.out_stride = shape_.channels;
        i32.stream = frame.images * shape_.positions() * shape_.channels * 4 >= kStreamed;
        frame.kernels.vertical_i32(i32);
        return;
    }
    for (size_t block = block_begin; block < block_end; ++block) {
        const size_t begin = block * outputs(), end = std::min(shape_.channels, begin + outputs());
        i32.block_begin = block;
        i32.block_end = block + 1;
        i32.out = acc - begin;  // the kernel writes channel `begin` first
        i32.out_stride = outputs();
        frame.kernels.vertical_i32(i32);
        finish.rows(frame, target, first, v.rows, begin, end, acc, outputs());
    }
}

void VerticalMatmul::run(const Frame& frame, int source, int target, const Finish& finish) const {
    const size_t images = direct_ ? 1 : frame.images;
    const size_t rows = direct_ ? frame.images * shape_.positions() : height();
    // Parts of each image, as equal as they can be, and of even rows where rows make pairs.
    const bool shared = frame.worthwhile(work(frame, finish));
    const size_t wanted = shared ? static_cast<size_t>(frame.threads) : 1;
    size_t parts = (rows + most_rows_ - 1) / most_rows_;
    if (images * parts % wanted) {
        const size_t more = (wanted * ((images * parts + wanted - 1) / wanted) + images - 1) / images;
        parts = std::min(more, std::max<size_t>(1, direct_ ? (rows + 1) / 2 : rows));
    }
    const size_t tasks = images * parts;
    const size_t splits = tasks >= wanted ? 1 : std::min(blocks_, (wanted + tasks - 1) / tasks);
    const size_t unit = direct_ ? 2 : 1, units = (rows + unit - 1) / unit;
    parallel_for(tasks * splits, shared ? frame.threads : 1, [&](size_t task, int slot) {
        const size_t split = task % splits, i = task / splits % parts, image = task / splits / parts;
        const size_t begin = units * i / parts * unit, end = std::min(rows, units * (i + 1) / parts * unit);
        if (begin < end)
            run_part(frame, source, target, finish, {image, begin, end - begin}, blocks_ * split / splits,
                     blocks_ * (split + 1) / splits, slot);
    });
}

}  // namespace binarynet
