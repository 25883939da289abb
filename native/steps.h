// What a network runs: values, and the steps that make one from others.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bits.h"
#include "kernels.h"
#include "memory.h"
#include "threads.h"

namespace binarynet {

// How a value is stored for one image, in the order height, width, channels:
//   codes   one byte each                              bits   per pixel words_for(channels) words
//   i32     accumulators                               f32    reals
// A vector is one pixel, unless it is the flattened form of an image of bits whose pixels end within a word:
// then its height and width are those of the image.
struct Value {
    enum Store { codes, bits, i32, f32 };

    Store store = i32;
    size_t height = 1, width = 1, channels = 1;
    bool flat = false;
    int code_bits =
        1;  // codes: how many bits of the byte are used, and whether they mean 2x − (2^bits − 1) or x
    bool bipolar = true;
    int root = -1;  // another value whose memory this is, or −1

    size_t pixels() const { return height * width; }
    size_t numbers() const { return pixels() * channels; }
    size_t row_words() const { return words_for(channels); }
    size_t bytes() const;
};

// What the steps of one run see: `images` images, one pointer per value, scratch memory per slot.
struct Frame {
    const Kernels& kernels;
    size_t images;
    int threads;
    void* const* values;
    uint8_t* scratch;
    size_t scratch_bytes;  // per slot

    template <typename T>
    T* at(int value) const {
        return static_cast<T*>(values[value]);
    }

    // body(begin, end, slot) over [0, rows), in parallel if that is worth a region; block borders are
    // multiples of grain.
    template <class Body>
    void split(size_t rows, double nanoseconds_per_row, size_t grain, Body&& body) const {
        const size_t grains = (rows + grain - 1) / grain;
        const size_t blocks = worthwhile(static_cast<double>(rows) * nanoseconds_per_row)
                                  ? std::min(grains, static_cast<size_t>(threads) * 4)
                                  : 1;
        parallel_for(blocks, threads, [&](size_t i, int slot) {
            const size_t begin = grains * i / blocks * grain,
                         end = std::min(rows, grains * (i + 1) / blocks * grain);
            if (begin < end) body(begin, end, slot);
        });
    }

    // A region costs about 2 µs where the workers are awake.
    bool worthwhile(double nanoseconds) const { return threads > 1 && nanoseconds > 8000; }
};

class Step {
 public:
    Step(std::string op, std::vector<int> reads, int writes)
        : op_(std::move(op)), reads_(std::move(reads)), writes_(writes) {}
    virtual ~Step() = default;

    virtual void run(const Frame& frame) const = 0;
    // What `binarynet inspect` shows.
    virtual std::string kernel(const Kernels&) const = 0;
    virtual size_t scratch_bytes() const { return 0; }
    virtual size_t weight_bytes() const { return 0; }

    const std::string& op() const { return op_; }
    const std::vector<int>& reads() const { return reads_; }
    int writes() const { return writes_; }

 protected:
    void writes(int value) { writes_ = value; }

 private:
    std::string op_;
    std::vector<int> reads_;
    int writes_;
};

// A window that moves over an image: convolutions and pools.
struct Window {
    size_t height, width;  // of the image
    size_t kernel_height, kernel_width;
    size_t stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1;
    size_t top = 0, bottom = 0, left = 0, right = 0;  // padding

    // Throws std::invalid_argument if the window does not fit.
    void check() const;
    size_t out_height() const {
        return (height + top + bottom - dilation_y * (kernel_height - 1) - 1) / stride_y + 1;
    }
    size_t out_width() const {
        return (width + left + right - dilation_x * (kernel_width - 1) - 1) / stride_x + 1;
    }
    size_t positions() const { return out_height() * out_width(); }
    size_t taps() const { return kernel_height * kernel_width; }

    // Row of the image under tap ky of output row oy; ≥ height (also by wrapping) if outside.
    size_t row(size_t oy, size_t ky) const { return oy * stride_y + ky * dilation_y - top; }
    size_t column(size_t ox, size_t kx) const { return ox * stride_x + kx * dilation_x - left; }
};

// Zero padding: positions of the output with the same taps outside the image share a class, which is a pair
// of a pattern of kernel rows and a pattern of kernel columns.
struct PaddingClasses {
    std::vector<uint32_t> of;                // position → class
    std::vector<std::vector<bool>> outside;  // class → tap → whether it lies outside

    explicit PaddingClasses(const Window& window);
};

// Per-channel numbers of a Threshold and of an Affine, as they come from the graph.
struct ThresholdTable {
    std::vector<int32_t> i32;  // one of the two is empty
    std::vector<float> f32;
    std::vector<uint8_t> rising;  // 0 or 1
};
struct AffineTable {
    std::vector<float> scale, offset;
};

std::unique_ptr<Step> make_pack_input(std::string op, int source, int target, const Value& bits);
std::unique_ptr<Step> make_widen(std::string op, int source, int target, const Value& from);
std::unique_ptr<Step> make_copy(std::string op, int source, int target, const Value& value);
std::unique_ptr<Step> make_max_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window, const std::vector<uint8_t>& minimum);
std::unique_ptr<Step> make_sum_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window);
std::unique_ptr<Step> make_add(std::string op, int left, int right, int target, const Value& value);
std::unique_ptr<Step> make_relu(std::string op, int source, int target, const Value& value);
std::unique_ptr<Step> make_prelu(std::string op, int source, int target, const Value& value,
                                 std::vector<float> slope);

class ThresholdStep final : public Step {
 public:
    ThresholdStep(std::string op, int source, int target, const Value& from, ThresholdTable table);
    void run(const Frame& frame) const override;
    std::string kernel(const Kernels& kernels) const override;
    const ThresholdTable& table() const { return table_; }

 private:
    Value from_;
    ThresholdTable table_;
    std::vector<uint64_t> flip_;
};

class AffineStep final : public Step {
 public:
    AffineStep(std::string op, int source, int target, const Value& from, AffineTable table);
    void run(const Frame& frame) const override;
    std::string kernel(const Kernels&) const override { return "float32"; }
    const AffineTable& table() const { return table_; }

 private:
    Value from_;
    AffineTable table_;
};

// A Linear or a Conv2d. Its only reader, where that is a threshold or an affine, becomes part of it.
class Product : public Step {
 public:
    using Step::Step;

    virtual size_t positions() const = 0;
    // Before seal(): make the value of that step instead of the accumulators. False if these kernels cannot.
    virtual bool fuse(const ThresholdStep& step, const Kernels& kernels) = 0;
    virtual bool fuse(const AffineStep& step) = 0;
    // Lay out weights and tables for these kernels.
    virtual void seal(const Kernels& kernels) = 0;
};

// Throws std::invalid_argument unless there are `channels` ≥ 1 packed rows of `depth` values with their tails
// 0.
void check_packed(const std::vector<uint64_t>& weight, size_t channels, size_t depth);

// out = float(x) · scale + offset, each operation rounded on its own.
void affine_row(const int32_t* x, const float* scale, const float* offset, size_t channels, float* out);
void affine_row(const float* x, const float* scale, const float* offset, size_t channels, float* out);

}  // namespace binarynet
