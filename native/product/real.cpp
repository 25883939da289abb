#include "real.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace binarynet {

namespace {

constexpr size_t kTileBytes = 512 << 10;  // of gathered rows
constexpr size_t kFewNumbers = 64;        // for which a call of memcpy takes longer than they do

inline void copy_numbers(float* to, const float* from, size_t count) {
    if (count > kFewNumbers) {
        std::memcpy(to, from, count * sizeof(float));
        return;
    }
    for (; count >= 4; count -= 4, to += 4, from += 4) std::memcpy(to, from, 16);
    for (; count; --count) *to++ = *from++;
}

}  // namespace

RealMatmul::RealMatmul(std::string op, int source, int target, const Shape& shape, int pad_value)
    : Product(std::move(op), {source}, target), shape_(shape), pad_(static_cast<float>(pad_value)) {}

RealMatmul::RealMatmul(std::string op, int source, int target, const Shape& shape, PackedWeights weight,
                       int pad_value, Kernel kernel)
    : RealMatmul(std::move(op), source, target, shape, pad_value) {
    weight.check(shape_.depth);
    const Code code = weight.code;
    if (kernel == Kernel::multiply) {
        bytes_ = lay_out<int8_t>([&](size_t channel, size_t i) {
            int32_t c = 0;
            for (int n = 0; n < code.bits; ++n)
                c |= static_cast<int32_t>(
                    read_bits(weight.row(static_cast<size_t>(n), channel, shape_.depth), i, 1) << n);
            if (code.value(c) < INT8_MIN || code.value(c) > INT8_MAX)
                throw std::invalid_argument("the weight " + std::to_string(code.value(c)) +
                                            " does not fit a byte");
            return static_cast<int8_t>(code.value(c));
        });
        return;
    }
    const size_t words = shape_.channels * words_for(shape_.depth);
    const auto rows = [&](size_t plane) {
        return std::vector<uint64_t>(weight.row(plane, 0, shape_.depth),
                                     weight.row(plane, 0, shape_.depth) + words);
    };
    const bool ternary = code.count == 3;
    if (ternary) {  // +1 where bit 1 of the code is set, −1 where no bit is: no sum that would have to cancel
        std::vector<uint64_t> minus = rows(0), plus = rows(1);
        for (size_t k = 0; k < words; ++k) {
            const bool last = k % words_for(shape_.depth) == words_for(shape_.depth) - 1;
            const size_t used = last ? shape_.depth - (words_for(shape_.depth) - 1) * kWord : kWord;
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

RealMatmul::RealMatmul(std::string op, int source, int target, const Shape& shape,
                       const std::vector<float>& weight, int pad_value)
    : RealMatmul(std::move(op), source, target, shape, pad_value) {
    const size_t channels = shape.channels;
    if (!channels || weight.size() != checked_product(channels, shape_.depth))
        throw std::invalid_argument("weights must be " + std::to_string(channels) + " rows of " +
                                    std::to_string(shape_.depth) + " numbers");
    reals_ = lay_out<float>([&](size_t channel, size_t i) { return weight[channel * shape_.depth + i]; });
}

template <typename W, class WeightOf>
Buffer RealMatmul::lay_out(WeightOf weight_of) const {
    const size_t per_group = shape_.channels_of_group(), panels = (per_group + kRealLanes - 1) / kRealLanes;
    Buffer buffer(
        checked_product(checked_product(shape_.groups * panels, shape_.depth), kRealLanes * sizeof(W)));
    W* out = buffer.as<W>();
    for (size_t channel = 0; channel < shape_.channels; ++channel) {
        const size_t inside = channel % per_group;
        W* lane = out + (channel / per_group * panels + inside / kRealLanes) * shape_.depth * kRealLanes +
                  inside % kRealLanes;
        for (size_t i = 0; i < shape_.depth; ++i) lane[i * kRealLanes] = weight_of(channel, i);
    }
    return buffer;
}

void RealMatmul::seal(const Kernels& kernels) {
    const size_t per_group = shape_.channels_of_group(), words = words_for(shape_.depth);
    for (Plane& plane : planes_) {
        for (size_t g = 0; g < shape_.groups; ++g)
            plane.panels.emplace_back(kernels.panel, &plane.rows[g * per_group * words], per_group, words,
                                      shape_.depth);
        plane.rows = {};
    }
}

size_t RealMatmul::tile_rows() const {
    if (shape_.in_place()) return 512;
    return std::clamp<size_t>(kTileBytes / (shape_.depth * 4) / 8 * 8, 8, 64);  // as many as a kernel takes
}

size_t RealMatmul::scratch_bytes() const {
    return shape_.in_place() ? 0 : tile_rows() * shape_.depth * 4;
}

size_t RealMatmul::weight_bytes() const {
    size_t bytes = bytes_.bytes() + reals_.bytes();
    for (const Plane& plane : planes_)
        for (const Panels& panels : plane.panels) bytes += panels.bytes();
    return bytes;
}

bool RealMatmul::looks_up(const Kernels& kernels, int bits, size_t channels) {
    const double* price = kernels.prices->of;  // of a product of reals, either way
    const double looked_up = price[Work::lookups] / 4 + price[Work::tables] / double(channels);
    // A panel of look-ups meets 4 rows: of as many rows the weights of products are counted here, too.
    return bits * looked_up < price[Work::products] + price[Work::real_weights] / 4;
}

Work RealMatmul::work(const Frame& frame) const {
    const double rows = double(frame.images) * double(positions()) * double(shape_.groups);
    const double channels = double(panel_count(frame.kernels) * lanes(frame.kernels)),
                 reals = rows * double(shape_.depth) / 1024, planes = double(planes_.size());
    Work work(Work::stored, rows * channels * std::max(planes, 1.0));
    // Once for 4 rows of look-ups, or 64 of products (native/kernels/shared.h).
    const double passes = std::ceil(double(frame.images * positions()) / (planes_.empty() ? 64 : 4));
    work[frame.weights()] = passes * double(weight_bytes()) / 1024;
    if (planes_.empty()) {
        work[Work::products] = reals * channels;
        work[reals_.bytes() ? Work::float_weights : Work::real_weights] =
            passes * channels * double(shape_.groups * shape_.depth) / 1024;
    } else {
        work[Work::lookups] = planes * reals * channels / 4;
        work[Work::tables] = planes * reals;
    }
    if (!shape_.in_place()) {
        work[Work::gathered] = reals * sizeof(float);
        const bool lines = shape_.groups == 1 && shape_.window->dilation_x == 1;
        work[Work::taps] = rows * double(lines ? shape_.window->kernel_height : shape_.window->taps());
    }
    return work;
}

std::string RealMatmul::kernel(const Frame&) const {
    std::string text = reals_.bytes() ? "multiply, float32" : bytes_.bytes() ? "multiply, bytes" : "lookup";
    if (!planes_.empty())
        text += planes_.size() == 1 ? ", 1 plane" : ", " + std::to_string(planes_.size()) + " planes";
    if (shape_.window) text += shape_.in_place() ? ", 1×1 in place" : ", gathered reals";
    if (shape_.groups > 1) text += ", " + std::to_string(shape_.groups) + " groups";
    return text;
}

// A line of the window is one copy where its pixels follow one another.
void RealMatmul::gather(const Frame& frame, size_t first, size_t count, size_t group, float* row) const {
    const Window& w = *shape_.window;
    const bool lines = shape_.groups == 1 && w.dilation_x == 1;
    const size_t channels = shape_.from.channels / shape_.groups, columns = w.out_width();
    const size_t line = w.kernel_width * channels, image_numbers = shape_.from.numbers();
    const float* image = frame.at<float>(reads()[0]) + first / w.positions() * image_numbers;
    size_t oy = first % w.positions() / columns, ox = first % columns;
    for (size_t r = 0; r < count; ++r) {
        const size_t start = ox * w.stride_x, end = start + w.kernel_width;  // in the padded image
        const bool within = start >= w.left && end <= w.left + w.width;
        for (size_t ky = 0; ky < w.kernel_height; ++ky) {
            const size_t iy = w.row(oy, ky);
            if (lines && within && iy < w.height) {
                copy_numbers(row, image + (iy * w.width + start - w.left) * channels, line);
                row += line;
                continue;
            }
            if (lines && iy < w.height) {
                const size_t from = std::clamp(w.left, start, end) - start;
                const size_t to = std::clamp(w.left + w.width, start, end) - start;
                std::fill_n(row, from * channels, pad_);
                if (from < to)
                    copy_numbers(row + from * channels,
                                 image + (iy * w.width + start + from - w.left) * channels,
                                 (to - from) * channels);
                std::fill(row + to * channels, row + line, pad_);
                row += line;
                continue;
            }
            for (size_t kx = 0; kx < w.kernel_width; ++kx, row += channels) {
                const size_t ix = w.column(ox, kx);
                if (iy < w.height && ix < w.width)
                    copy_numbers(row, image + (iy * w.width + ix) * shape_.from.channels + group * channels,
                                 channels);
                else
                    std::fill_n(row, channels, pad_);
            }
        }
        if (++ox < columns) continue;
        ox = 0;
        if (++oy < w.out_height()) continue;
        oy = 0;
        image += image_numbers;
    }
}

template <typename W>
GemmReal<W> RealMatmul::real(const GemmSelect& g, const Buffer& weight, size_t group) const {
    const W* panels = weight.as<W>() + group * (weight.bytes() / sizeof(W) / shape_.groups);
    return {g.rows,        g.row_count, g.row_stride, g.depth, panels,
            g.panel_begin, g.panel_end, g.channels,   g.out,   g.out_stride};
}

void RealMatmul::run_tile(const Frame& frame, size_t first, size_t count, size_t panel_begin,
                          size_t panel_end, int slot) const {
    const size_t per_group = shape_.channels_of_group();
    for (size_t group = 0; group < shape_.groups; ++group) {
        GemmSelect g{};
        if (shape_.in_place()) {
            g.rows = frame.at<float>(reads()[0]) + first * shape_.depth;
        } else {
            auto* rows =
                reinterpret_cast<float*>(frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes);
            gather(frame, first, count, group, rows);
            g.rows = rows;
        }
        g.row_count = count;
        g.row_stride = g.depth = shape_.depth;
        g.panel_begin = panel_begin;
        g.panel_end = panel_end;
        g.channels = per_group;
        g.out = frame.at<float>(writes()) + first * shape_.channels + group * per_group;
        g.out_stride = shape_.channels;
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
        if (shape_.groups == 1 && blocks * 2 < tasks) splits = std::clamp<size_t>(tasks / blocks, 1, panels);
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
