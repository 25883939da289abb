#include <cmath>
#include <limits>

#include "pool.h"
#include "steps.h"

namespace binarynet {

namespace {

// The largest of bits is OR; the smallest is NOT OR of the complements, so `minimum` channels are flipped
// before and after. What lies outside the image never wins: it is left out.
class MaxPoolBits final : public Step {
 public:
    MaxPoolBits(std::string op, int source, int target, const Value& from, const Window& window,
                const std::vector<uint8_t>& minimum)
        : Step(std::move(op), {source}, target), words_(from.row_words()), window_(window), flip_(words_) {
        halves_ = window.kernel_height == 2 && window.kernel_width == 2 && window.stride_y == 2 &&
                  window.stride_x == 2 && window.dilation_y == 1 && window.dilation_x == 1 && !window.top &&
                  !window.left && 2 * window.out_height() <= window.height &&
                  2 * window.out_width() <= window.width;
        for (size_t c = 0; c < minimum.size(); ++c) flip_[c / kWord] |= uint64_t{minimum[c]} << c % kWord;
    }

    void run(const Frame& frame) const override {
        const uint64_t* in = frame.at<uint64_t>(reads()[0]);
        uint64_t* out = frame.at<uint64_t>(writes());
        const size_t rows = window_.out_height(), columns = window_.out_width();
        frame.split(work(frame), frame.images * rows, 1, [&](size_t begin, size_t end, int) {
            for (size_t place = begin; place < end; ++place) {
                const uint64_t* image = in + place / rows * window_.height * window_.width * words_;
                const size_t oy = place % rows;
                if (halves_) {
                    halve(image + 2 * oy * window_.width * words_, columns, out + place * columns * words_);
                    continue;
                }
                const Inside y(oy, window_.stride_y, window_.top, window_.kernel_height, window_.height);
                for (size_t ox = 0; ox < columns; ++ox) {
                    const Inside x(ox, window_.stride_x, window_.left, window_.kernel_width, window_.width);
                    pixel(image, oy, ox, y, x, out + (place * columns + ox) * words_);
                }
            }
        });
    }
    Work work(const Frame& frame) const override {
        // Four words of a window of 2 × 2 take about as long as one elsewhere.
        const size_t words = window_.positions() * (halves_ ? 1 : window_.taps()) * words_;
        Work work(Work::pooled_words, double(frame.images) * double(words));
        work[Work::pooled_windows] = double(frame.images) * double(window_.positions());
        return work;
    }
    std::string kernel(const Frame&) const override { return "words, or / and"; }

 private:
    // A row of 2 × 2 windows that lie beside each other. What the loop needs is its own: to the compiler,
    // what it writes may be a member.
    void halve(const uint64_t* upper, size_t columns, uint64_t* out) const {
        const size_t words = words_;
        const uint64_t *const flips = flip_.data(), *lower = upper + window_.width * words;
        for (size_t ox = 0; ox < columns; ++ox, upper += 2 * words, lower += 2 * words)
            for (size_t word = 0; word < words; ++word) {
                const uint64_t flip = flips[word];
                *out++ = ((upper[word] ^ flip) | (upper[words + word] ^ flip) | (lower[word] ^ flip) |
                          (lower[words + word] ^ flip)) ^
                         flip;
            }
    }

    void pixel(const uint64_t* image, size_t oy, size_t ox, Inside y, Inside x, uint64_t* out) const {
        for (size_t word = 0; word < words_; ++word) {
            uint64_t any = 0;
            for (size_t ky = y.first; ky < y.last; ++ky)
                for (size_t kx = x.first; kx < x.last; ++kx)
                    any |= image[(window_.row(oy, ky) * window_.width + window_.column(ox, kx)) * words_ +
                                 word] ^
                           flip_[word];
            out[word] = any ^ flip_[word];
        }
    }

    size_t words_;
    Window window_;
    std::vector<uint64_t> flip_;
    bool halves_;  // windows of 2 × 2 beside each other, all in the image
};

// −x − 1 = ~x turns the order of all int32 round, without overflow, and so it does with bytes. Codes have the
// order of their values.
template <typename T>
struct Largest {
    static constexpr Work::Count count = Work::pooled_numbers;
    std::vector<T> mask;
    T begin(size_t) const { return std::numeric_limits<T>::min(); }
    T take(T best, T x, size_t c) const { return std::max(best, static_cast<T>(x ^ mask[c])); }
    T end(T best, size_t c) const { return static_cast<T>(best ^ mask[c]); }
};

// A NaN under the window is the answer, as in numpy.
struct LargestReal {
    static constexpr Work::Count count = Work::pooled_numbers;
    std::vector<float> sign;
    float begin(size_t) const { return -INFINITY; }
    float take(float best, float x, size_t c) const {
        const float signed_x = x * sign[c];
        return signed_x > best || signed_x != signed_x ? signed_x : best;
    }
    float end(float best, size_t c) const { return best * sign[c]; }
};

}  // namespace

std::unique_ptr<Step> make_max_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window, const std::vector<uint8_t>& minimum) {
    if (from.store == Value::bits)
        return std::make_unique<MaxPoolBits>(std::move(op), source, target, from, window, minimum);
    const size_t channels = from.channels;
    if (from.store == Value::f32) {
        LargestReal rule;
        for (uint8_t smallest : minimum) rule.sign.push_back(smallest ? -1.0f : 1.0f);
        return std::make_unique<Pool<float, LargestReal>>(std::move(op), source, target, channels, window,
                                                          std::move(rule));
    }
    if (from.store == Value::codes) {
        Largest<uint8_t> rule;
        for (uint8_t smallest : minimum) rule.mask.push_back(smallest ? 255 : 0);
        return std::make_unique<Pool<uint8_t, Largest<uint8_t>>>(std::move(op), source, target, channels,
                                                                 window, std::move(rule));
    }
    Largest<int32_t> rule;
    for (uint8_t smallest : minimum) rule.mask.push_back(smallest ? -1 : 0);
    return std::make_unique<Pool<int32_t, Largest<int32_t>>>(std::move(op), source, target, channels, window,
                                                             std::move(rule));
}

}  // namespace binarynet
