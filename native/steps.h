// What a network runs: values, and the steps that make one from others.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bits.h"
#include "cost.h"
#include "kernels.h"
#include "memory.h"
#include "threads.h"

namespace binarynet {

// What a code c means: the integer low + step · c. Bipolar codes b1 … b8 have step 2, all others 1; i2 … i8
// and t2 are stored with an offset, so that their lowest value is code 0.
struct Code {
    int bits = 1;
    int32_t low = -1, step = 2;
    int32_t count = 2;  // of codes; t2 uses three of its four

    // Throws std::invalid_argument for a name that is none of b1 … b8, u1 … u8, i2 … i8, t2.
    static Code parse(const std::string& encoding);

    int32_t largest() const { return (1 << bits) - 1; }  // that the bits hold
    bool is_sign() const { return bits == 1 && low < 0; }
    int32_t value(int32_t code) const { return low + step * code; }
    // The code of a value, or −1.
    int32_t of(int32_t value) const;
};

// How a value is stored for one image, in the order height, width, channels:
//   codes   one byte each                              i32    accumulators
//   bits    codes of one bit: per pixel                f32    reals
//           words_for(channels) words
// A vector is one pixel, unless it is the flattened form of an image of bits whose pixels end within a word:
// then its height and width are those of the image.
struct Value {
    enum Store { codes, bits, i32, f32 };

    Store store = i32;
    size_t height = 1, width = 1, channels = 1;
    bool flat = false;
    Code code;      // of codes and bits
    int root = -1;  // another value whose memory this is, or −1

    size_t pixels() const { return height * width; }
    size_t numbers() const { return pixels() * channels; }
    size_t row_words() const { return words_for(channels); }
    size_t bytes() const;
    bool is_number() const { return store == i32 || store == f32; }
};

// What the steps of one run see: `images` images, one pointer per value, scratch memory per slot. A plan
// needs no memory.
struct Frame {
    const Kernels& kernels;
    size_t weight_bytes;  // of the whole network, which go through the caches once a run
    size_t images;
    int threads;
    void* const* values = nullptr;
    uint8_t* scratch = nullptr;
    size_t scratch_bytes = 0;  // per slot
    bool downwards = false;    // as in Gemm

    template <typename T>
    T* at(int value) const {
        return static_cast<T*>(values[value]);
    }

    // body(begin, end, slot) over [0, rows), in parallel if that is worth a region; block borders are
    // multiples of grain.
    template <class Body>
    void split(const Work& work, size_t rows, size_t grain, Body&& body) const {
        const size_t grains = (rows + grain - 1) / grain;
        const size_t blocks = worthwhile(work) ? std::min(grains, static_cast<size_t>(threads) * 4) : 1;
        parallel_for(blocks, threads, [&](size_t i, int slot) {
            const size_t begin = grains * i / blocks * grain,
                         end = std::min(rows, grains * (i + 1) / blocks * grain);
            if (begin < end) body(begin, end, slot);
        });
    }

    // How a step counts a KB of weights that it reads: by the cache that all weights of the network fit.
    Work::Count weights() const {
        return weight_bytes <= 1 << 20   ? Work::near_weights
               : weight_bytes <= 3 << 20 ? Work::edge_weights
                                         : Work::far_weights;
    }
    double nanoseconds(const Work& work) const { return prices_of(kernels).nanoseconds(work); }
    bool worthwhile(const Work& work) const {
        return threads > 1 && nanoseconds(work) > 4 * kRegionNanoseconds;
    }
};

class Step {
 public:
    Step(std::string op, std::vector<int> reads, int writes)
        : op_(std::move(op)), reads_(std::move(reads)), writes_(writes) {}
    virtual ~Step() = default;

    virtual void run(const Frame& frame) const = 0;
    // What a run of this frame does.
    virtual Work work(const Frame& frame) const = 0;
    // What `binarynet inspect` shows.
    virtual std::string kernel(const Frame& frame) const = 0;
    virtual size_t scratch_bytes() const { return 0; }
    virtual size_t weight_bytes() const { return 0; }
    // Of the work of a frame, that all threads share.
    double nanoseconds(const Frame& frame) const {
        const Work whole = work(frame);
        const double alone = frame.nanoseconds(whole);
        return frame.worthwhile(whole) ? alone / frame.threads + kRegionNanoseconds : alone;
    }

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
    std::vector<int32_t> i32;  // (channels, levels); one of the two is empty
    std::vector<float> f32;
    std::vector<uint8_t> rising;  // 0 or 1
    Code code = {};               // that it makes: count − 1 levels
};
struct AffineTable {
    std::vector<float> scale, offset;
};

std::unique_ptr<Step> make_pack_input(std::string op, int source, int target, const Value& bits);
// Codes or bits → the numbers that they mean, int32 or float32.
std::unique_ptr<Step> make_widen(std::string op, int source, int target, const Value& from, bool to_float);
std::unique_ptr<Step> make_copy(std::string op, int source, int target, const Value& value);
std::unique_ptr<Step> make_max_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window, const std::vector<uint8_t>& minimum);
std::unique_ptr<Step> make_sum_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window);
std::unique_ptr<Step> make_add(std::string op, int left, int right, int target, const Value& value);
std::unique_ptr<Step> make_mul(std::string op, int source, int factor, int target, const Value& value);
std::unique_ptr<Step> make_relu(std::string op, int source, int target, const Value& value);
std::unique_ptr<Step> make_prelu(std::string op, int source, int target, const Value& value,
                                 std::vector<float> slope);

// A threshold, ready for kernels: channels → bits or codes.
class Thresholds {
 public:
    explicit Thresholds(ThresholdTable table);

    const ThresholdTable& table() const { return table_; }
    size_t channels() const { return table_.rising.size(); }
    size_t levels() const { return static_cast<size_t>(table_.code.count) - 1; }
    bool makes_bits() const { return table_.code.bits == 1; }
    // Of one pixel, bits with their tail.
    size_t row_bytes() const { return makes_bits() ? words_for(channels()) * 8 : channels(); }
    // Channels [begin, end) of a pixel: x[0] is channel `begin`, out the whole pixel. For bits, `begin` is a
    // multiple of 64, and so is `end` unless it is the last.
    void row(const Kernels& kernels, const int32_t* x, size_t begin, size_t end, uint8_t* out) const;
    void row(const Kernels& kernels, const float* x, size_t begin, size_t end, uint8_t* out) const;
    // "threshold" or "threshold of 3 levels".
    std::string text() const;

 private:
    ThresholdTable table_;
    std::vector<int32_t> i32_;  // (levels, channels), ascending
    std::vector<float> f32_;
    std::vector<uint64_t> flip_;    // bits: where falling
    std::vector<uint8_t> falling_;  // codes: 255 where falling
};

class ThresholdStep final : public Step {
 public:
    ThresholdStep(std::string op, int source, int target, const Value& from, ThresholdTable table);
    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override;
    std::string kernel(const Frame& frame) const override;
    const Thresholds& thresholds() const { return thresholds_; }

 private:
    Value from_;
    Thresholds thresholds_;
};

class AffineStep final : public Step {
 public:
    AffineStep(std::string op, int source, int target, const Value& from, AffineTable table);
    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override;
    std::string kernel(const Frame&) const override { return "float32"; }
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

// Weights as packed rows, in planes: bit n of the codes of all channels, then bit n + 1.
struct PackedWeights {
    Code code;
    size_t channels = 0;
    std::vector<uint64_t> words;  // (code.bits, channels, words_for(depth))

    const uint64_t* row(size_t plane, size_t channel, size_t depth) const {
        return words.data() + (plane * channels + channel) * words_for(depth);
    }
    // Throws std::invalid_argument unless there are `channels` ≥ 1 rows of `depth` values in each plane, with
    // their tails 0.
    void check(size_t depth) const;
};

// out = float(x) · scale + offset, each operation rounded on its own.
void affine_row(const int32_t* x, const float* scale, const float* offset, size_t channels, float* out);
void affine_row(const float* x, const float* scale, const float* offset, size_t channels, float* out);

}  // namespace binarynet
