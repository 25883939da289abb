#include "matmul.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace binarynet {

namespace {

// A tile of rows is used once per panel: under a window it is gathered into L1, without one it may fill L2.
constexpr size_t kWindowTile = 32 << 10, kRowsTile = 256 << 10;
// Accumulators that something else reads are made for so many channels at a time: a multiple of 64 and of all
// panels.
constexpr size_t kPartChannels = 256;

// Accumulators of a run that are this large have left L2 when they are read.
constexpr size_t kStreamed = 512 << 10;

size_t popcount(const uint64_t* row, size_t first, size_t count) {
    size_t ones = 0;
    for (; count > kWord; first += kWord, count -= kWord)
        ones += static_cast<size_t>(__builtin_popcountll(read_bits(row, first, kWord)));
    return ones + static_cast<size_t>(__builtin_popcountll(read_bits(row, first, count)));
}

}  // namespace

// Where one slot keeps its tile.
struct Matmul::Scratch {
    uint64_t* rows;
    uint8_t* patch;
    uint32_t* classes;
    int32_t* acc;
    int32_t* part;  // −S of one weight plane
    int64_t* sums;  // per row: e · step · C
};

Matmul::Matmul(std::string op, int source, int target, const Value& from, PackedWeights weight,
               std::optional<Window> window, size_t groups, int pad_value, std::optional<Kernel> forced)
    : Product(std::move(op), {source}, target),
      from_(from),
      weight_(std::move(weight)),
      channels_(weight_.channels),
      groups_(groups),
      depth_(window ? checked_product(window->taps(), groups ? from.channels / groups : 0) : from.numbers()),
      window_(std::move(window)),
      forced_(forced),
      planes_(from.code.bits),
      weight_planes_(weight_.code.bits),
      step_(from.code.step),
      weight_step_(weight_.code.step),
      extra_(2 * weight_.code.low + weight_.code.step * weight_.code.largest()) {
    if (!groups || from.channels % groups || channels_ % groups)
        throw std::invalid_argument("groups must divide the channels in and out");
    if (depth_ > UINT32_MAX / static_cast<size_t>(from.code.largest()))
        throw std::invalid_argument("a dot product of " + std::to_string(depth_) +
                                    " values does not fit 32 bits");
    weight_.check(depth_);

    const bool padded = window_ && (window_->top | window_->bottom | window_->left | window_->right);
    if (!padded) return;
    const int32_t code = from.code.of(pad_value);
    if (code >= 0)
        pad_code_ = static_cast<uint8_t>(code);
    else if (pad_value == 0)
        correct_padding_ = true;
    else
        throw std::invalid_argument("pad_value " + std::to_string(pad_value) +
                                    " is neither 0 nor a value of the input");
}

bool Matmul::fuse(const ThresholdStep& step, const Kernels& kernels) {
    const bool fits = depth_ <= INT32_MAX / static_cast<size_t>(from_.code.largest());  // S ≤ limit in int32
    // A group's bits must begin and end with a byte and a panel.
    const bool whole = groups_ == 1 || channels_ / groups_ % kernels.panel.channels == 0;
    compares_ = plain() && step.thresholds().makes_bits() && fits && whole;
    thresholds_ = step.thresholds();
    writes(step.writes());
    return true;
}

bool Matmul::fuse(const AffineStep& step) {
    affine_ = step.table();
    writes(step.writes());
    return true;
}

bool Matmul::direct() const {
    if (from_.store != Value::bits) return false;
    if (!window_) return true;
    const Window& w = *window_;
    return groups_ == 1 && w.taps() == 1 && w.stride_y == 1 && w.stride_x == 1 &&
           !(w.top | w.bottom | w.left | w.right);
}

// With groups, all channels of a row are made before they are finished.
size_t Matmul::part_channels() const {
    return groups_ == 1 ? std::min(channels_, kPartChannels) : channels_;
}

size_t Matmul::tile_rows() const {
    size_t bytes = row_bytes();
    if (finishes()) bytes += part_channels() * 4;
    if (!plain()) bytes += part_channels() * 4;
    const size_t rows = (window_ && !direct() ? kWindowTile : kRowsTile) / bytes;
    return std::clamp<size_t>(rows / 8 * 8, 8, 512);
}

size_t Matmul::tail_words() const {
    if (window_ ? !implicit_ || !implicit_->whole_words() : from_.store != Value::bits) return 0;
    const size_t pixels = window_ ? window_->taps() : from_.pixels();
    return pixels > 1 && from_.channels % kWord ? pixels * from_.row_words() : 0;
}

// A Linear after a flattened image reads each pixel with its own tail, so its weights get the same tails; so
// does a convolution that reads pixels where they lie.
std::vector<uint64_t> Matmul::weights_as_rows(size_t plane) const {
    const size_t packed = words_for(depth_);
    const uint64_t* first = weight_.row(plane, 0, depth_);
    if (!tail_words()) return {first, first + channels_ * packed};
    const size_t pixel_words = from_.row_words();
    std::vector<uint64_t> rows(channels_ * words_);
    for (size_t c = 0; c < channels_; ++c) {
        for (size_t p = 0; p < words_ / pixel_words; ++p) {
            BitWriter writer(&rows[c * words_ + p * pixel_words]);
            writer.copy(first + c * packed, p * from_.channels, from_.channels);
            writer.finish();
        }
    }
    return rows;
}

// base2 of a channel: see matmul.h. x · d of a plane is low · Σ d + step · (largest · popcount(w) − S), where
// the first sum leaves out the taps outside, whose code is 0.
int64_t Matmul::twice_base(size_t channel, const std::vector<bool>& outside) const {
    const size_t tap_depth = depth_ / outside.size();
    const int64_t low = from_.code.low, largest = from_.code.largest();
    int64_t twice = 0, inside = 0;
    for (int n = 0; n < weight_planes_; ++n) {
        const uint64_t* weight = weight_.row(static_cast<size_t>(n), channel, depth_);
        int64_t ones = 0, ones_inside = 0;
        inside = 0;
        for (size_t tap = 0; tap < outside.size(); ++tap) {
            const auto here = static_cast<int64_t>(popcount(weight, tap * tap_depth, tap_depth));
            ones += here;
            if (outside[tap]) continue;
            ones_inside += here;
            inside += static_cast<int64_t>(tap_depth);
        }
        twice +=
            (low * (2 * ones_inside - inside) + step_ * largest * ones) * weight_step_ * (int64_t{1} << n);
    }
    return twice + extra_ * low * inside;
}

void Matmul::make_terms(const std::vector<std::vector<bool>>& outside, size_t padded) {
    const size_t per_group = channels_ / groups_, stride = groups_ * padded;
    if (!plain()) {
        terms_.assign(padded, 0);
        bases_.resize(checked_product(outside.size(), channels_));
        for (size_t c = 0; c < outside.size(); ++c)
            for (size_t channel = 0; channel < channels_; ++channel)
                bases_[c * channels_ + channel] = twice_base(channel, outside[c]);
        return;
    }
    terms_.assign(checked_product(outside.size(), stride), compares_ ? -1 : 0);
    if (compares_) flip_.assign(stride / 8, 0);
    for (size_t channel = 0; channel < channels_; ++channel) {
        const size_t place = channel / per_group * padded + channel % per_group;
        if (compares_ && !thresholds_->table().rising[channel])
            flip_[place / 8] = static_cast<uint8_t>(flip_[place / 8] | 1 << place % 8);
        for (size_t c = 0; c < outside.size(); ++c) {
            int64_t term = twice_base(channel, outside[c]) / 2;
            if (compares_) {
                const int64_t room = term - thresholds_->table().i32[channel];  // acc ≥ t  ⇔  step · S ≤ room
                term = std::clamp<int64_t>(room >> (step_ - 1), -1, INT32_MAX);  // >> rounds towards −∞
            }
            terms_[c * stride + place] = static_cast<int32_t>(static_cast<uint32_t>(term));
        }
    }
}

void Matmul::seal(const Kernels& kernels) {
    if (window_ && groups_ == 1 && plain() && !direct() && forced_ != Kernel::popcount)
        implicit_ = Implicit::plan(from_, *window_, pad_code_, kernels);
    words_ = tail_words() ? tail_words() : words_for(depth_);
    const size_t used = tail_words() ? (words_ - from_.row_words()) * kWord + from_.channels : depth_;
    const size_t per_group = channels_ / groups_;
    panels_.resize(groups_ * static_cast<size_t>(weight_planes_));
    for (size_t n = 0; n < static_cast<size_t>(weight_planes_); ++n) {
        const std::vector<uint64_t> rows = weights_as_rows(n);
        for (size_t g = 0; g < groups_; ++g)
            panels_[g * static_cast<size_t>(weight_planes_) + n] =
                Panels(kernels.panel, &rows[g * per_group * words_], per_group, words_, used);
    }
    lanes_ = kernels.panel.channels;
    if (forced_ == Kernel::tiles && !implicit_ && words_ * kWord > kernels.tile_depth)
        throw std::invalid_argument(op() + ": its rows of " + std::to_string(words_ * kWord) +
                                    " values are too long for the kernel 'tiles', which takes " +
                                    std::to_string(kernels.tile_depth) + "; it can run on popcount");
    std::vector<std::vector<bool>> outside{std::vector<bool>(window_ ? window_->taps() : 1)};
    if (correct_padding_) {
        PaddingClasses padding(*window_);
        classes_ = std::move(padding.of);
        outside = std::move(padding.outside);
    }
    make_terms(outside, panels_[0].padded_channels());
    weight_.words = {};
}

size_t Matmul::scratch_bytes() const {
    if (implicit_)
        return implicit_->scratch_bytes() + round_up(implicit_->block_positions() * 4, 64) +
               (finishes() ? kFinishedRows * kFinishedChannels * 4 : 0);
    const size_t tile = tile_rows();
    size_t bytes = 0;
    if (!direct()) bytes += round_up(tile * row_bytes(), 64) + round_up(depth_, 64);
    if (!classes_.empty()) bytes += round_up(tile * 4, 64);
    if (finishes()) bytes += round_up(tile * part_channels() * 4, 64);
    if (!plain()) bytes += round_up(tile * part_channels() * 4, 64) + round_up(tile * 8, 64);
    return bytes;
}

Matmul::Scratch Matmul::scratch(const Frame& frame, int slot) const {
    uint8_t* next = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
    auto take = [&](size_t bytes) { return std::exchange(next, next + round_up(bytes, 64)); };
    const size_t tile = tile_rows();
    Scratch s{};
    if (!direct()) {
        s.rows = reinterpret_cast<uint64_t*>(take(tile * row_bytes()));
        s.patch = take(depth_);
    }
    if (!classes_.empty()) s.classes = reinterpret_cast<uint32_t*>(take(tile * 4));
    if (finishes()) s.acc = reinterpret_cast<int32_t*>(take(tile * part_channels() * 4));
    if (!plain()) {
        s.part = reinterpret_cast<int32_t*>(take(tile * part_channels() * 4));
        s.sums = reinterpret_cast<int64_t*>(take(tile * 8));
    }
    return s;
}

size_t Matmul::weight_bytes() const {
    size_t bytes = terms_.size() * 4 + bases_.size() * 8 + flip_.size() + classes_.size() * 4;
    for (const Panels& panels : panels_) bytes += panels.bytes();
    return bytes;
}

Matmul::Cut Matmul::cut(const Frame& frame) const {
    if (implicit_) return {Kernel::tiles, 1, 1, count_implicit(frame)};
    if (forced_) return cut(frame, *forced_);
    Cut best = cut(frame, Kernel::popcount);
    if (words_ * kWord > frame.kernels.tile_depth) return best;
    Cut tiles = cut(frame, Kernel::tiles);
    return frame.nanoseconds(tiles.work) < frame.nanoseconds(best.work) ? tiles : best;
}

Matmul::Cut Matmul::cut(const Frame& frame, Kernel kernel) const {
    Cut cut{kernel};
    cut.work = count(frame, cut);
    if (!frame.worthwhile(cut.work)) return cut;
    // Blocks of rows first; where there are few rows, also blocks of channels. Four tasks a thread even out.
    const size_t tasks = static_cast<size_t>(frame.threads) * 4, rows = frame.images * positions();
    cut.blocks = std::min(tasks, (rows + 7) / 8);
    if (groups_ == 1 && cut.blocks * 2 < tasks) {
        const size_t step = panel_step(), steps = (panels_[0].count() + step - 1) / step;
        cut.splits = std::clamp<size_t>(tasks / cut.blocks, 1, steps);
    }
    cut.work = count(frame, cut);
    return cut;
}

// What run() and run_tile() do below, in numbers.
Work Matmul::count(const Frame& frame, const Cut& cut) const {
    const auto number = [](size_t n) { return static_cast<double>(n); };
    const size_t rows = frame.images * positions(), block = (rows + cut.blocks - 1) / cut.blocks;
    const double tiles = number(cut.blocks * ((block + tile_rows() - 1) / tile_rows()));
    const double rows_of_tile = number(rows) / tiles;
    const double groups = number(groups_), planes = number(static_cast<size_t>(planes_)),
                 weight_planes = number(static_cast<size_t>(weight_planes_));
    const size_t parts = compares_ || groups_ > 1 ? 1 : (channels_ + part_channels() - 1) / part_channels();
    const double calls = tiles * number(std::max(parts, cut.splits)) * groups * weight_planes;
    const double weights = weight_planes * groups * number(panels_[0].bytes()) / 1024;  // KB
    const double sums = number(rows) * number(channels_) * weight_planes;

    Work work(Work::calls, calls);
    work[frame.weights()] = tiles * weights;
    if (cut.kernel == Kernel::tiles) {
        const double strips = std::ceil(rows_of_tile / 32);
        // Below 13 rows of a tile its products wait for each other (native/kernels/amx.cpp).
        const double height = std::max(13.0, std::ceil(rows_of_tile / (2 * strips)));
        work[Work::tile_calls] = calls;
        work[Work::tile_products] = tiles * strips * 2 * height * weights * 8;
        // Weights are expanded for each block of rows, which is as many as are expanded at once.
        const size_t fit = frame.kernels.tile_depth / (words_ * kWord);
        work[Work::tile_weights] = tiles * std::ceil(strips / number(std::min<size_t>(8, fit))) * weights;
        work[Work::tile_rows] = calls * rows_of_tile * number(words_) / 16;
    } else {
        work[Work::popcounts] = number(rows) * planes * weights * 8;
    }
    work[compares_ ? Work::bits : Work::stored] = sums;
    if (!direct()) {
        const double gathers = number(rows * cut.splits) * groups;
        if (from_.store == Value::codes) work[Work::digits] = gathers * number(depth_) * planes / 1024;
        if (window_) {
            const bool whole = from_.store == Value::bits && groups_ == 1 && from_.channels % kWord == 0;
            work[Work::gathered] = gathers * number(depth_) / (from_.store == Value::bits ? 8 : 1) / 1024;
            work[Work::taps] = gathers * number(whole ? window_->kernel_height : window_->taps());
        }
    }
    if (!plain()) work[Work::combined] = sums;
    if (finishes())
        work[Work::finished] =
            number(rows) * number(channels_) * (thresholds_ ? number(thresholds_->levels()) : 1);
    return work;
}

std::string Matmul::kernel(const Frame& frame) const {
    std::string text = std::string(name_of(cut(frame).kernel)) + ", " + std::to_string(planes_);
    if (!plain()) text += " × " + std::to_string(weight_planes_);
    text += planes_ == 1 && plain() ? " plane" : " planes";
    if (window_)
        text += implicit_                    ? std::string(", implicit ") + implicit_->text()
                : direct()                   ? ", 1×1 in place"
                : from_.store == Value::bits ? ", gathered bits"
                                             : ", gathered codes";
    if (groups_ > 1) text += ", " + std::to_string(groups_) + " groups";
    if (!classes_.empty()) text += ", exact zero padding";
    if (thresholds_) text += ", fused " + thresholds_->text();
    if (affine_) text += ", fused affine";
    return text;
}

// One position: the bits under the window, tap after tap without gaps.
void Matmul::gather_bits(const uint64_t* image, size_t oy, size_t ox, size_t group, uint64_t* row) const {
    const Window& w = *window_;
    const size_t channels = from_.channels / groups_, pixel_words = from_.row_words();
    const uint64_t outside = pad_code_ ? ~uint64_t{0} : 0;
    if (groups_ == 1 && channels % kWord == 0) {
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

void Matmul::gather_codes(const uint8_t* image, size_t oy, size_t ox, size_t group, uint8_t* patch) const {
    const Window& w = *window_;
    const size_t channels = from_.channels / groups_;
    for (size_t ky = 0; ky < w.kernel_height; ++ky) {
        const size_t iy = w.row(oy, ky);
        for (size_t kx = 0; kx < w.kernel_width; ++kx, patch += channels) {
            const size_t ix = w.column(ox, kx);
            if (iy < w.height && ix < w.width)
                std::memcpy(patch, image + (iy * w.width + ix) * from_.channels + group * channels, channels);
            else
                std::memset(patch, pad_code_, channels);
        }
    }
}

void Matmul::gather(const Frame& frame, size_t first, size_t count, size_t group, const Scratch& s) const {
    const size_t row_words = static_cast<size_t>(planes_) * words_;
    if (!window_) {
        const uint8_t* codes = frame.at<uint8_t>(reads()[0]);
        for (size_t r = 0; r < count; ++r)
            frame.kernels.split(codes + (first + r) * depth_, depth_, planes_, s.rows + r * row_words,
                                words_);
        return;
    }
    const size_t columns = window_->out_width(), positions = window_->positions(),
                 image_bytes = from_.bytes();
    const uint8_t* image = frame.at<uint8_t>(reads()[0]) + first / positions * image_bytes;
    size_t position = first % positions, oy = position / columns, ox = position % columns;
    for (size_t r = 0; r < count; ++r) {
        uint64_t* row = s.rows + r * row_words;
        if (from_.store == Value::bits) {
            gather_bits(reinterpret_cast<const uint64_t*>(image), oy, ox, group, row);
        } else {
            gather_codes(image, oy, ox, group, s.patch);
            frame.kernels.split(s.patch, depth_, planes_, row, words_);
        }
        if (s.classes) s.classes[r] = classes_[position];
        ++position;
        if (++ox < columns) continue;
        ox = 0;
        if (++oy < window_->out_height()) continue;
        oy = position = 0;
        image += image_bytes;
    }
}

void Matmul::sum_codes(const Gemm& g, int64_t* sums) const {
    for (size_t r = 0; r < g.row_count; ++r) {
        int64_t codes = 0;
        for (int n = planes_ - 1; n >= 0 && extra_; --n) {
            const uint64_t* plane = g.rows + r * g.row_stride + static_cast<size_t>(n) * g.words;
            codes = 2 * codes + static_cast<int64_t>(popcount(plane, 0, g.words * kWord));
        }
        sums[r] = codes * step_ * extra_;
    }
}

void Matmul::accumulate(const Frame& frame, const Gemm& rows, size_t group, size_t panel_begin,
                        size_t panel_end, const Scratch& s, int32_t* acc, size_t stride) const {
    const size_t per_group = channels_ / groups_, padded = panels_[0].padded_channels();
    const size_t first = panel_begin * lanes_, last = std::min(per_group, panel_end * lanes_);
    const auto planes = static_cast<size_t>(weight_planes_);
    GemmI32 g{};
    static_cast<Gemm&>(g) = rows;
    g.panel_begin = 0;
    g.panel_end = panel_end - panel_begin;
    g.channels = last - first;
    const auto call = [&](size_t plane, int32_t* out, size_t out_stride) {
        const Panels& panels = panels_[group * planes + plane];
        g.panels = panels.data() + panel_begin * (panels.bytes() / panels.count());
        g.out = out;
        g.out_stride = out_stride;
        frame.kernels.gemm_i32(g);
    };
    if (plain()) {
        g.terms = terms_.data() + group * padded + first;
        g.term_stride = groups_ * padded;
        g.shift = step_ - 1;
        g.stream = !finishes() && frame.images * positions() * channels_ * 4 >= kStreamed;
        call(0, acc, stride);
        return;
    }
    g.terms = terms_.data() + first;  // zeros: what comes out is −S
    g.term_stride = 0;
    // Horner's rule over the planes above the lowest: acc = −Σ_{j ≥ 1} 2^(j − 1) S_j, modulo 2^32.
    if (planes > 1) call(planes - 1, acc, stride);
    const size_t width = g.channels;
    for (size_t plane = planes - 1; plane > 1;) {
        call(--plane, s.part, width);
        for (size_t r = 0; r < g.row_count; ++r)
            for (size_t c = 0; c < width; ++c)
                acc[r * stride + c] = static_cast<int32_t>(2 * static_cast<uint32_t>(acc[r * stride + c]) +
                                                           static_cast<uint32_t>(s.part[r * width + c]));
    }
    // The lowest plane decides the last bit of 2 acc, which is then shifted out; of the planes above it, 32
    // bits are enough.
    call(0, s.part, width);
    const auto factor = static_cast<uint32_t>(step_ * weight_step_);
    for (size_t r = 0; r < g.row_count; ++r) {
        const int64_t* base = &bases_[(s.classes ? s.classes[r] : 0) * channels_ + group * per_group + first];
        int32_t *out = acc + r * stride, *part = s.part + r * width;
        for (size_t c = 0; c < width; ++c) {
            const uint64_t lowest = uint64_t{0u - static_cast<uint32_t>(part[c])} * factor;
            const uint64_t twice = static_cast<uint64_t>(base[c] + s.sums[r]) - lowest;
            const uint32_t above = planes > 1 ? factor * static_cast<uint32_t>(out[c]) : 0;
            out[c] = static_cast<int32_t>(static_cast<uint32_t>(twice >> 1) + above);
        }
    }
}

void Matmul::finish(const Frame& frame, size_t first, size_t count, size_t begin, size_t end,
                    const int32_t* acc, size_t stride) const {
    for (size_t r = 0; r < count; ++r, acc += stride) {
        if (affine_)
            affine_row(acc, affine_->scale.data() + begin, affine_->offset.data() + begin, end - begin,
                       frame.at<float>(writes()) + (first + r) * channels_ + begin);
        else
            thresholds_->row(frame.kernels, acc, begin, end,
                             frame.at<uint8_t>(writes()) + (first + r) * thresholds_->row_bytes());
    }
}

void Matmul::run_tile(const Frame& frame, Kernel kernel, size_t first, size_t count, size_t panel_begin,
                      size_t panel_end, int slot) const {
    const Scratch s = scratch(frame, slot);
    const size_t padded = panels_[0].padded_channels(), per_group = channels_ / groups_;
    const size_t bits_stride = words_for(channels_) * 8, acc_stride = part_channels();
    const size_t part_panels = groups_ == 1 ? kPartChannels / lanes_ : panels_[0].count();
    for (size_t group = 0; group < groups_; ++group) {
        GemmBits g{};
        if (direct()) {
            g.rows = frame.at<uint64_t>(reads()[0]) + first * words_;
        } else {
            gather(frame, first, count, group, s);
            g.rows = s.rows;
        }
        g.row_count = count;
        g.row_stride = static_cast<size_t>(planes_) * words_;
        g.words = words_;
        g.planes = planes_;
        g.units = panels_[0].units();
        g.tiles = kernel == Kernel::tiles;
        g.downwards = frame.downwards;
        g.classes = plain() ? s.classes : nullptr;
        if (compares_) {
            g.panels = panels_[group].data();
            g.panel_begin = panel_begin;
            g.panel_end = panel_end;
            g.terms = terms_.data() + group * padded;
            g.term_stride = groups_ * padded;
            g.flip = flip_.data() + group * padded / 8;
            g.out = frame.at<uint8_t>(writes()) + first * bits_stride + group * per_group / 8;
            g.out_stride = bits_stride;
            frame.kernels.gemm_bits(g);
            continue;
        }
        if (!plain()) sum_codes(g, s.sums);
        if (!finishes()) {
            int32_t* out = frame.at<int32_t>(writes()) + first * channels_ + group * per_group;
            // Each call makes tiles of the rows anew, so it takes all channels unless a part must wait for
            // others.
            const size_t step = plain() ? panels_[0].count() : part_panels;
            for (size_t panel = panel_begin; panel < panel_end; panel += step)
                accumulate(frame, g, group, panel, std::min(panel_end, panel + step), s, out + panel * lanes_,
                           channels_);
        } else if (groups_ > 1) {
            accumulate(frame, g, group, panel_begin, panel_end, s, s.acc + group * per_group, acc_stride);
        } else {
            for (size_t panel = panel_begin; panel < panel_end; panel += part_panels) {
                const size_t end = std::min(panel_end, panel + part_panels);
                accumulate(frame, g, 0, panel, end, s, s.acc, acc_stride);
                finish(frame, first, count, panel * lanes_, std::min(channels_, end * lanes_), s.acc,
                       acc_stride);
            }
        }
    }
    if (finishes() && groups_ > 1) finish(frame, first, count, 0, channels_, s.acc, acc_stride);
    if (compares_ && panel_end == panels_[0].count()) clear_tails(frame, first, count);
}

void Matmul::clear_tails(const Frame& frame, size_t first, size_t count) const {
    const size_t stride = words_for(channels_) * 8;
    const size_t written = groups_ > 1 ? channels_ / 8 : panels_[0].padded_channels() / 8;
    for (size_t r = 0; r < count && written < stride; ++r)
        std::memset(frame.at<uint8_t>(writes()) + (first + r) * stride + written, 0, stride - written);
}

void Matmul::run(const Frame& frame) const {
    const size_t rows = frame.images * positions(), panels = panels_[0].count(), tile = tile_rows();
    if (implicit_) return run_implicit(frame);
    const size_t step = panel_step();
    const Cut how = cut(frame);
    parallel_for(how.blocks * how.splits, frame.threads, [&](size_t task, int slot) {
        const size_t block = task / how.splits, split = task % how.splits;
        const size_t quads = (rows + 3) / 4, panel_steps = (panels + step - 1) / step;
        const size_t end = std::min(rows, quads * (block + 1) / how.blocks * 4);
        const size_t panel_begin = panel_steps * split / how.splits * step;
        const size_t panel_end = std::min(panels, panel_steps * (split + 1) / how.splits * step);
        for (size_t first = quads * block / how.blocks * 4; first < end; first += tile)
            run_tile(frame, how.kernel, first, std::min(tile, end - first), panel_begin, panel_end, slot);
    });
}

}  // namespace binarynet
