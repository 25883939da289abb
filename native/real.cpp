#include "real.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace binarynet {

namespace {

constexpr size_t kTileBytes = 512 << 10;  // of gathered rows

}  // namespace

RealMatmul::RealMatmul(std::string op, int source, int target, const Value& from, size_t channels,
                       std::optional<Window> window, size_t groups, int pad_value)
    : Product(std::move(op), {source}, target),
      from_(from),
      channels_(channels),
      groups_(groups),
      depth_(window ? checked_product(window->taps(), groups ? from.channels / groups : 0) : from.numbers()),
      window_(std::move(window)),
      pad_(static_cast<float>(pad_value)) {
    if (!groups || from.channels % groups || channels % groups)
        throw std::invalid_argument("groups must divide the channels in and out");
}

RealMatmul::RealMatmul(std::string op, int source, int target, const Value& from, PackedWeights weight,
                       std::optional<Window> window, size_t groups, int pad_value, Kernel kernel)
    : RealMatmul(std::move(op), source, target, from, weight.channels, std::move(window), groups, pad_value) {
    weight.check(depth_);
    const Code code = weight.code;
    if (kernel == Kernel::multiply) {
        bytes_ = lay_out<int8_t>([&](size_t channel, size_t i) {
            int32_t c = 0;
            for (int n = 0; n < code.bits; ++n)
                c |= static_cast<int32_t>(read_bits(weight.row(static_cast<size_t>(n), channel, depth_), i, 1)
                                          << n);
            if (code.value(c) < INT8_MIN || code.value(c) > INT8_MAX)
                throw std::invalid_argument("the weight " + std::to_string(code.value(c)) +
                                            " does not fit a byte");
            return static_cast<int8_t>(code.value(c));
        });
        return;
    }
    const size_t words = channels_ * words_for(depth_);
    const auto rows = [&](size_t plane) {
        return std::vector<uint64_t>(weight.row(plane, 0, depth_), weight.row(plane, 0, depth_) + words);
    };
    const bool ternary = code.count == 3;
    if (ternary) {  // +1 where bit 1 of the code is set, −1 where no bit is: no sum that would have to cancel
        std::vector<uint64_t> minus = rows(0), plus = rows(1);
        for (size_t k = 0; k < words; ++k) {
            const bool last = k % words_for(depth_) == words_for(depth_) - 1;
            const size_t used = last ? depth_ - (words_for(depth_) - 1) * kWord : kWord;
            minus[k] = ~(minus[k] | plus[k]) & low_bits(used);
        }
        planes_.push_back({0, 1, std::move(plus), {}});
        planes_.push_back({0, -1, std::move(minus), {}});
        return;
    }
    for (int n = 0; n < code.bits; ++n) {  // b: ±2^n; u: 0 and 2^n; i: 0 and 2^n, −2 and 0 at the top
        const auto worth = static_cast<float>(1 << n);
        const bool top = n == code.bits - 1;
        Plane plane{code.step == 2 ? -worth : 0.0f, worth, rows(static_cast<size_t>(n)), {}};
        if (code.step == 1 && code.low < 0 && top) plane.zero = -worth, plane.one = 0;
        planes_.push_back(std::move(plane));
    }
}

RealMatmul::RealMatmul(std::string op, int source, int target, const Value& from,
                       const std::vector<float>& weight, size_t channels, std::optional<Window> window,
                       size_t groups, int pad_value)
    : RealMatmul(std::move(op), source, target, from, channels, std::move(window), groups, pad_value) {
    if (!channels || weight.size() != checked_product(channels, depth_))
        throw std::invalid_argument("weights must be " + std::to_string(channels) + " rows of " +
                                    std::to_string(depth_) + " numbers");
    reals_ = lay_out<float>([&](size_t channel, size_t i) { return weight[channel * depth_ + i]; });
}

template <typename W, class WeightOf>
Buffer RealMatmul::lay_out(WeightOf weight_of) const {
    const size_t per_group = channels_ / groups_, panels = (per_group + kRealLanes - 1) / kRealLanes;
    Buffer buffer(checked_product(checked_product(groups_ * panels, depth_), kRealLanes * sizeof(W)));
    W* out = buffer.as<W>();
    for (size_t channel = 0; channel < channels_; ++channel) {
        const size_t inside = channel % per_group;
        W* lane = out + (channel / per_group * panels + inside / kRealLanes) * depth_ * kRealLanes +
                  inside % kRealLanes;
        for (size_t i = 0; i < depth_; ++i) lane[i * kRealLanes] = weight_of(channel, i);
    }
    return buffer;
}

void RealMatmul::seal(const Kernels& kernels) {
    const size_t per_group = channels_ / groups_, words = words_for(depth_);
    for (Plane& plane : planes_) {
        for (size_t g = 0; g < groups_; ++g)
            plane.panels.emplace_back(kernels.panel, &plane.rows[g * per_group * words], per_group, words,
                                      depth_);
        plane.rows = {};
    }
}

bool RealMatmul::direct() const {
    if (!window_) return true;
    const Window& w = *window_;
    return groups_ == 1 && w.taps() == 1 && w.stride_y == 1 && w.stride_x == 1 &&
           !(w.top | w.bottom | w.left | w.right);
}

size_t RealMatmul::tile_rows() const {
    if (direct()) return 512;
    return std::clamp<size_t>(kTileBytes / (depth_ * 4) / 8 * 8, 8, 256);
}

size_t RealMatmul::scratch_bytes() const {
    return direct() ? 0 : tile_rows() * depth_ * 4;
}

size_t RealMatmul::weight_bytes() const {
    size_t bytes = bytes_.bytes() + reals_.bytes();
    for (const Plane& plane : planes_)
        for (const Panels& panels : plane.panels) bytes += panels.bytes();
    return bytes;
}

bool RealMatmul::looks_up(const Kernels& kernels, int bits, size_t channels) {
    const double* price = prices_of(kernels).of;  // of a product of reals, either way
    const double looked_up = price[Work::lookups] / 4 + price[Work::tables] / double(channels);
    return bits * looked_up < price[Work::products];
}

Work RealMatmul::work(const Frame& frame) const {
    const double rows = double(frame.images) * double(positions()) * double(groups_);
    const double channels = double(panel_count(frame.kernels) * lanes(frame.kernels)),
                 reals = rows * double(depth_) / 1024, planes = double(planes_.size());
    Work work(Work::stored, rows * channels * std::max(planes, 1.0));
    // Once for 4 rows of look-ups, or 64 of products (native/kernels/shared.h).
    const double passes = std::ceil(double(frame.images * positions()) / (planes_.empty() ? 64 : 4));
    work[frame.weights()] = passes * double(weight_bytes()) / 1024;
    if (planes_.empty()) {
        work[Work::products] = reals * channels;
    } else {
        work[Work::lookups] = planes * reals * channels / 4;
        work[Work::tables] = planes * reals;
    }
    if (!direct()) {
        work[Work::gathered] = reals * sizeof(float);
        work[Work::taps] = rows * double(window_->taps());
    }
    return work;
}

std::string RealMatmul::kernel(const Frame&) const {
    std::string text = reals_.bytes() ? "multiply, float32" : bytes_.bytes() ? "multiply, bytes" : "lookup";
    if (!planes_.empty())
        text += planes_.size() == 1 ? ", 1 plane" : ", " + std::to_string(planes_.size()) + " planes";
    if (window_) text += direct() ? ", 1×1 in place" : ", gathered reals";
    if (groups_ > 1) text += ", " + std::to_string(groups_) + " groups";
    return text;
}

void RealMatmul::gather(const Frame& frame, size_t first, size_t count, size_t group, float* row) const {
    const Window& w = *window_;
    const size_t channels = from_.channels / groups_, columns = w.out_width();
    for (size_t r = first; r < first + count; ++r) {
        const float* image = frame.at<float>(reads()[0]) + r / w.positions() * from_.numbers();
        const size_t oy = r % w.positions() / columns, ox = r % columns;
        for (size_t ky = 0; ky < w.kernel_height; ++ky) {
            const size_t iy = w.row(oy, ky);
            for (size_t kx = 0; kx < w.kernel_width; ++kx, row += channels) {
                const size_t ix = w.column(ox, kx);
                if (iy < w.height && ix < w.width)
                    std::memcpy(row, image + (iy * w.width + ix) * from_.channels + group * channels,
                                channels * 4);
                else
                    std::fill_n(row, channels, pad_);
            }
        }
    }
}

template <typename W>
GemmReal<W> RealMatmul::real(const GemmSelect& g, const Buffer& weight, size_t group) const {
    const W* panels = weight.as<W>() + group * (weight.bytes() / sizeof(W) / groups_);
    return {g.rows,        g.row_count, g.row_stride, g.depth, panels,
            g.panel_begin, g.panel_end, g.channels,   g.out,   g.out_stride};
}

void RealMatmul::run_tile(const Frame& frame, size_t first, size_t count, size_t panel_begin,
                          size_t panel_end, int slot) const {
    const size_t per_group = channels_ / groups_;
    for (size_t group = 0; group < groups_; ++group) {
        GemmSelect g{};
        if (direct()) {
            g.rows = frame.at<float>(reads()[0]) + first * depth_;
        } else {
            auto* rows =
                reinterpret_cast<float*>(frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes);
            gather(frame, first, count, group, rows);
            g.rows = rows;
        }
        g.row_count = count;
        g.row_stride = g.depth = depth_;
        g.panel_begin = panel_begin;
        g.panel_end = panel_end;
        g.channels = per_group;
        g.out = frame.at<float>(writes()) + first * channels_ + group * per_group;
        g.out_stride = channels_;
        for (const Plane& plane : planes_) {
            g.panels = plane.panels[group].data();
            g.units = plane.panels[group].units();
            g.zero = plane.zero;
            g.one = plane.one;
            frame.kernels.gemm_select(g);
            g.add = true;
        }
        if (bytes_.bytes()) frame.kernels.gemm_real_i8(real<int8_t>(g, bytes_, group));
        if (reals_.bytes()) frame.kernels.gemm_real_f32(real<float>(g, reals_, group));
    }
}

void RealMatmul::run(const Frame& frame) const {
    const size_t rows = frame.images * positions(), panels = panel_count(frame.kernels);
    const size_t tile = tile_rows();
    size_t blocks = 1, splits = 1;
    if (frame.worthwhile(work(frame))) {
        const size_t tasks = static_cast<size_t>(frame.threads) * 4;
        blocks = std::min(tasks, (rows + 7) / 8);
        if (groups_ == 1 && blocks * 2 < tasks) splits = std::clamp<size_t>(tasks / blocks, 1, panels);
    }
    parallel_for(blocks * splits, frame.threads, [&](size_t task, int slot) {
        const size_t block = task / splits, split = task % splits;
        const size_t eights = (rows + 7) / 8, end = std::min(rows, eights * (block + 1) / blocks * 8);
        for (size_t first = eights * block / blocks * 8; first < end; first += tile)
            run_tile(frame, first, std::min(tile, end - first), panels * split / splits,
                     panels * (split + 1) / splits, slot);
    });
}

}  // namespace binarynet
