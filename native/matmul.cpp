#include "matmul.h"

#include <cstring>
#include <stdexcept>

namespace binarynet {

namespace {

// Rows are gathered a tile at a time, so that a tile, used once per panel, stays in L1 or L2.
constexpr size_t kGatheredTile = 32 << 10, kDirectTile = 256 << 10;

// Binary MACs a nanosecond, only to tell work that deserves a region from work that does not.
constexpr double kMacsPerNanosecond = 500;

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
    int32_t* acc;
    uint32_t* classes;
    uint8_t* patch;
};

Matmul::Matmul(std::string op, int source, int target, const Value& from, std::vector<uint64_t> weight,
               size_t channels, std::optional<Window> window, size_t groups, int pad_value)
    : Product(std::move(op), {source}, target),
      from_(from),
      weight_(std::move(weight)),
      channels_(channels),
      groups_(groups),
      depth_(window ? checked_product(window->taps(), from.channels / groups) : from.numbers()),
      window_(std::move(window)),
      planes_(from.store == Value::codes ? from.code_bits : 1),
      shift_(from.bipolar ? 1 : 0),
      largest_((1 << planes_) - 1) {
    if (!groups || from.channels % groups || channels % groups)
        throw std::invalid_argument("groups must divide the channels in and out");
    if (depth_ > static_cast<size_t>(INT32_MAX / largest_))
        throw std::invalid_argument("a dot product of " + std::to_string(depth_) +
                                    " values does not fit int32");
    check_packed(weight_, channels, depth_);

    const bool padded = window_ && (window_->top | window_->bottom | window_->left | window_->right);
    if (!padded) return;
    const int code = from.bipolar ? (pad_value + largest_) / 2 : pad_value;
    const bool exists =
        code >= 0 && code <= largest_ && (from.bipolar ? 2 * code - largest_ : code) == pad_value;
    if (exists)
        pad_code_ = static_cast<uint8_t>(code);
    else if (pad_value == 0)
        correct_padding_ = true;
    else
        throw std::invalid_argument("pad_value " + std::to_string(pad_value) +
                                    " is neither 0 nor a value of the input");
}

bool Matmul::fuse(const ThresholdStep& step, const Kernels& kernels) {
    // A group's bits must begin and end with a byte and a panel.
    if (groups_ > 1 && channels_ / groups_ % kernels.panel.channels) return false;
    threshold_ = step.table();
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

size_t Matmul::tile_rows() const {
    size_t bytes = row_bytes();
    if (affine_) bytes += channels_ * 4;
    const size_t rows = (direct() ? kDirectTile : kGatheredTile) / bytes;
    return std::clamp<size_t>(rows / 8 * 8, 8, 512);
}

// A Linear after a flattened image reads each pixel with its own tail, so its weights get the same tails.
std::vector<uint64_t> Matmul::weights_as_rows() const {
    if (window_ || from_.store != Value::bits || from_.pixels() == 1) return weight_;
    const size_t pixel_words = from_.row_words(), packed = words_for(depth_);
    std::vector<uint64_t> rows(channels_ * words_);
    for (size_t c = 0; c < channels_; ++c) {
        for (size_t p = 0; p < from_.pixels(); ++p) {
            BitWriter writer(&rows[c * words_ + p * pixel_words]);
            writer.copy(&weight_[c * packed], p * from_.channels, from_.channels);
            writer.finish();
        }
    }
    return rows;
}

// The accumulator of a channel is base − (S << shift): see kernels.h.
int64_t Matmul::base(size_t channel, const std::vector<bool>& outside) const {
    const uint64_t* weight = &weight_[channel * words_for(depth_)];
    if (!shift_) return int64_t{largest_} * static_cast<int64_t>(popcount(weight, 0, depth_));
    const size_t tap_depth = depth_ / outside.size();
    int64_t inside_depth = 0, ones_outside = 0;
    for (size_t tap = 0; tap < outside.size(); ++tap) {
        if (outside[tap])
            ones_outside += static_cast<int64_t>(popcount(weight, tap * tap_depth, tap_depth));
        else
            inside_depth += static_cast<int64_t>(tap_depth);
    }
    return largest_ * (inside_depth + 2 * ones_outside);
}

void Matmul::make_terms(const std::vector<std::vector<bool>>& outside) {
    const size_t padded = panels_[0].padded_channels(), per_group = channels_ / groups_,
                 stride = groups_ * padded;
    terms_.assign(checked_product(outside.size(), stride), threshold_ ? -1 : 0);
    if (threshold_) flip_.assign(stride / 8, 0);
    for (size_t channel = 0; channel < channels_; ++channel) {
        const size_t place = channel / per_group * padded + channel % per_group;
        if (threshold_ && !threshold_->rising[channel])
            flip_[place / 8] = static_cast<uint8_t>(flip_[place / 8] | 1 << place % 8);
        for (size_t c = 0; c < outside.size(); ++c) {
            int64_t term = base(channel, outside[c]);
            if (threshold_) {
                const int64_t room = term - threshold_->i32[channel];       // acc ≥ t  ⇔  S << shift ≤ room
                term = std::clamp<int64_t>(room >> shift_, -1, INT32_MAX);  // >> rounds towards −∞
            }
            terms_[c * stride + place] = static_cast<int32_t>(static_cast<uint32_t>(term));
        }
    }
}

void Matmul::seal(const Kernels& kernels) {
    const bool linear_on_pixels = !window_ && from_.store == Value::bits;
    words_ = linear_on_pixels ? from_.pixels() * from_.row_words() : words_for(depth_);
    const size_t used =
        linear_on_pixels ? (from_.pixels() - 1) * from_.row_words() * kWord + from_.channels : depth_;
    const std::vector<uint64_t> rows = weights_as_rows();
    const size_t per_group = channels_ / groups_;
    for (size_t g = 0; g < groups_; ++g)
        panels_.emplace_back(kernels.panel, &rows[g * per_group * words_], per_group, words_, used);
    std::vector<std::vector<bool>> outside{std::vector<bool>(window_ ? window_->taps() : 1)};
    if (correct_padding_) {
        PaddingClasses padding(*window_);
        classes_ = std::move(padding.of);
        outside = std::move(padding.outside);
    }
    make_terms(outside);
    weight_ = {};
}

size_t Matmul::scratch_bytes() const {
    const size_t tile = tile_rows();
    size_t bytes = 0;
    if (!direct()) bytes += round_up(tile * row_bytes(), 64) + round_up(depth_, 64);
    if (!classes_.empty()) bytes += round_up(tile * 4, 64);
    if (affine_) bytes += round_up(tile * channels_ * 4, 64);
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
    if (affine_) s.acc = reinterpret_cast<int32_t*>(take(tile * channels_ * 4));
    return s;
}

size_t Matmul::weight_bytes() const {
    size_t bytes = terms_.size() * 4 + flip_.size() + classes_.size() * 4;
    for (const Panels& panels : panels_) bytes += panels.bytes();
    return bytes;
}

std::string Matmul::kernel(const Kernels& kernels) const {
    std::string text = std::string(kernels.name) + (threshold_ ? " gemm_bits" : " gemm_i32");
    text += planes_ == 1 ? ", 1 plane" : ", " + std::to_string(planes_) + " planes";
    if (window_)
        text += direct()                     ? ", 1×1 in place"
                : from_.store == Value::bits ? ", gathered bits"
                                             : ", gathered codes";
    if (groups_ > 1) text += ", " + std::to_string(groups_) + " groups";
    if (!classes_.empty()) text += ", exact zero padding";
    if (threshold_) text += ", fused threshold";
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

void Matmul::run_tile(const Frame& frame, size_t first, size_t count, size_t panel_begin, size_t panel_end,
                      int slot) const {
    const Scratch s = scratch(frame, slot);
    const size_t padded = panels_[0].padded_channels(), per_group = channels_ / groups_;
    const size_t bits_stride = words_for(channels_) * 8;
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
        g.panels = panels_[group].data();
        g.units = panels_[group].units();
        g.panel_begin = panel_begin;
        g.panel_end = panel_end;
        g.classes = s.classes;
        g.terms = terms_.data() + group * padded;
        g.term_stride = groups_ * padded;
        if (threshold_) {
            g.flip = flip_.data() + group * padded / 8;
            g.out = frame.at<uint8_t>(writes()) + first * bits_stride + group * per_group / 8;
            g.out_stride = bits_stride;
            frame.kernels.gemm_bits(g);
        } else {
            GemmI32 i{};
            static_cast<Gemm&>(i) = g;
            i.shift = shift_;
            i.channels = per_group;
            i.out = (affine_ ? s.acc : frame.at<int32_t>(writes()) + first * channels_) + group * per_group;
            i.out_stride = channels_;
            frame.kernels.gemm_i32(i);
        }
    }
    const size_t lanes = frame.kernels.panel.channels, last = panels_[0].count();
    if (threshold_ && panel_end == last) {  // bytes of the last word that no panel covers
        const size_t written = groups_ > 1 ? channels_ / 8 : padded / 8;
        for (size_t r = 0; r < count && written < bits_stride; ++r)
            std::memset(frame.at<uint8_t>(writes()) + (first + r) * bits_stride + written, 0,
                        bits_stride - written);
    }
    if (affine_) {
        const size_t begin = groups_ > 1 ? 0 : panel_begin * lanes;
        const size_t end = groups_ > 1 ? channels_ : std::min(channels_, panel_end * lanes);
        for (size_t r = 0; r < count; ++r)
            affine_row(s.acc + r * channels_ + begin, affine_->scale.data() + begin,
                       affine_->offset.data() + begin, end - begin,
                       frame.at<float>(writes()) + (first + r) * channels_ + begin);
    }
}

void Matmul::run(const Frame& frame) const {
    const size_t rows = frame.images * positions(), panels = panels_[0].count(), tile = tile_rows();
    const double macs = double(rows) * double(channels_) * double(depth_) * planes_;
    size_t blocks = 1, splits = 1;
    if (frame.worthwhile(macs / kMacsPerNanosecond)) {
        // Blocks of rows first; where there are few rows, also blocks of channels. Four tasks a thread even
        // out.
        const size_t tasks = static_cast<size_t>(frame.threads) * 4;
        blocks = std::min(tasks, (rows + 7) / 8);
        if (groups_ == 1 && blocks * 2 < tasks)
            splits = std::clamp<size_t>(tasks / blocks, 1, (panels + 3) / 4);
    }
    parallel_for(blocks * splits, frame.threads, [&](size_t task, int slot) {
        const size_t block = task / splits, split = task % splits;
        const size_t quads = (rows + 3) / 4, panel_quads = (panels + 3) / 4;
        const size_t end = std::min(rows, quads * (block + 1) / blocks * 4);
        const size_t panel_begin = panel_quads * split / splits * 4;
        const size_t panel_end = std::min(panels, panel_quads * (split + 1) / splits * 4);
        for (size_t first = quads * block / blocks * 4; first < end; first += tile)
            run_tile(frame, first, std::min(tile, end - first), panel_begin, panel_end, slot);
    });
}

}  // namespace binarynet
