// The steps that are not matrix products.
#include "steps.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>

namespace binarynet {

Code Code::parse(const std::string& encoding) {
    if (encoding == "t2") return {2, -1, 1, 3};
    if (encoding.size() == 2 && encoding[1] >= '1' && encoding[1] <= '8') {
        const int bits = encoding[1] - '0', count = 1 << bits;
        if (encoding[0] == 'b') return {bits, 1 - count, 2, count};
        if (encoding[0] == 'u') return {bits, 0, 1, count};
        if (encoding[0] == 'i' && bits > 1) return {bits, -count / 2, 1, count};
    }
    throw std::invalid_argument("encoding " + encoding + " is none of b1 … b8, u1 … u8, i2 … i8, t2");
}

int32_t Code::of(int32_t value) const {
    const int32_t above = value - low;
    return above >= 0 && above % step == 0 && above / step < count ? above / step : -1;
}

size_t Value::bytes() const {
    const size_t count =
        checked_product(checked_product(height, width), store == bits ? row_words() : channels);
    return checked_product(count, store == codes ? 1 : store == bits ? 8 : 4);
}

void Window::check() const {
    for (size_t side : {kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x})
        if (side < 1 || side > 65536)
            throw std::invalid_argument("kernel, stride and dilation must be 1 … 65536");
    for (size_t side : {top, bottom, left, right})
        if (side > 65536) throw std::invalid_argument("padding must be 0 … 65536");
    if (dilation_y * (kernel_height - 1) >= height + top + bottom ||
        dilation_x * (kernel_width - 1) >= width + left + right)
        throw std::invalid_argument("the window does not fit the image");
}

void PackedWeights::check(size_t depth) const {
    const size_t words_each = words_for(depth), rows = static_cast<size_t>(code.bits) * channels;
    if (!channels || words.size() != checked_product(rows, words_each))
        throw std::invalid_argument("weights must be " + std::to_string(rows) + " rows of " +
                                    std::to_string(words_each) + " words");
    for (size_t r = 0; r < rows && depth % kWord; ++r)
        if (words[(r + 1) * words_each - 1] >> depth % kWord)
            throw std::invalid_argument("weights have bits behind their last value");
}

PaddingClasses::PaddingClasses(const Window& w) {
    struct Axis {
        std::vector<uint32_t> of;                 // place → pattern
        std::vector<std::vector<bool>> patterns;  // pattern → tap outside
    };
    auto distinct = [](size_t places, size_t kernel, auto is_outside) {
        Axis axis;
        std::map<std::vector<bool>, uint32_t> seen;
        for (size_t place = 0; place < places; ++place) {
            std::vector<bool> pattern(kernel);
            for (size_t k = 0; k < kernel; ++k) pattern[k] = is_outside(place, k);
            const auto [entry, fresh] = seen.emplace(pattern, static_cast<uint32_t>(axis.patterns.size()));
            if (fresh) axis.patterns.push_back(pattern);
            axis.of.push_back(entry->second);
        }
        return axis;
    };
    const Axis rows = distinct(w.out_height(), w.kernel_height,
                               [&](size_t oy, size_t ky) { return w.row(oy, ky) >= w.height; });
    const Axis columns = distinct(w.out_width(), w.kernel_width,
                                  [&](size_t ox, size_t kx) { return w.column(ox, kx) >= w.width; });
    for (uint32_t y : rows.of)
        for (uint32_t x : columns.of) of.push_back(y * static_cast<uint32_t>(columns.patterns.size()) + x);
    for (const auto& y : rows.patterns) {
        for (const auto& x : columns.patterns) {
            std::vector<bool> taps;
            for (bool row : y)
                for (bool column : x) taps.push_back(row || column);
            outside.push_back(std::move(taps));
        }
    }
}

namespace {

// The taps of one axis that lie inside the image: [first, last) of the kernel.
struct Inside {
    size_t first, last;

    Inside(size_t place, size_t stride, size_t before, size_t kernel, size_t size) {
        const size_t start = place * stride;  // in the padded image
        first = start < before ? before - start : 0;
        last = std::min(kernel, start < size + before ? size + before - start : 0);
    }
};

class PackInput final : public Step {
 public:
    PackInput(std::string op, int source, int target, const Value& bits)
        : Step(std::move(op), {source}, target), bits_(bits) {}

    void run(const Frame& frame) const override {
        const uint8_t* in = frame.at<uint8_t>(reads()[0]);
        uint64_t* out = frame.at<uint64_t>(writes());
        const size_t channels = bits_.channels, words = bits_.row_words();
        frame.split(work(frame), frame.images * bits_.pixels(), 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row)
                frame.kernels.split(in + row * channels, channels, 1, out + row * words, words);
        });
    }
    Work work(const Frame& frame) const override {
        return {Work::packed, double(frame.images) * double(bits_.pixels() * bits_.row_words())};
    }
    std::string kernel(const Frame&) const override { return "split"; }

 private:
    Value bits_;
};

template <typename T>
class Widen final : public Step {
 public:
    Widen(std::string op, int source, int target, const Value& from)
        : Step(std::move(op), {source}, target), from_(from) {}

    void run(const Frame& frame) const override {
        T* out = frame.at<T>(writes());
        const size_t channels = from_.channels;
        const int32_t low = from_.code.low, step = from_.code.step;
        if (from_.store == Value::bits) {
            const uint64_t* in = frame.at<uint64_t>(reads()[0]);
            const size_t words = from_.row_words();
            frame.split(work(frame), frame.images * from_.pixels(), 1, [&](size_t row, size_t end, int) {
                for (; row < end; ++row)
                    for (size_t c = 0; c < channels; ++c)
                        out[row * channels + c] = static_cast<T>(
                            int32_t(in[row * words + c / kWord] >> c % kWord & 1) * step + low);
            });
        } else {
            const uint8_t* in = frame.at<uint8_t>(reads()[0]);
            frame.split(work(frame), frame.images * from_.pixels(), 1, [&](size_t row, size_t end, int) {
                for (size_t i = row * channels; i < end * channels; ++i)
                    out[i] = static_cast<T>(in[i] * step + low);
            });
        }
    }
    Work work(const Frame& frame) const override {
        return {from_.store == Value::bits ? Work::widened_bits : Work::widened_codes,
                double(frame.images) * double(from_.numbers())};
    }
    std::string kernel(const Frame&) const override {
        return std::is_same_v<T, float> ? "codes to float32" : "codes to int32";
    }

 private:
    Value from_;
};

class Copy final : public Step {
 public:
    Copy(std::string op, int source, int target, const Value& value)
        : Step(std::move(op), {source}, target), bytes_(value.bytes()) {}

    void run(const Frame& frame) const override {
        std::memcpy(frame.at<uint8_t>(writes()), frame.at<uint8_t>(reads()[0]), frame.images * bytes_);
    }
    Work work(const Frame& frame) const override {
        return {Work::elements, double(frame.images) * double(bytes_) / 4};
    }
    std::string kernel(const Frame&) const override { return "copy"; }

 private:
    size_t bytes_;
};

// The largest of bits is OR; the smallest is NOT OR of the complements, so `minimum` channels are flipped
// before and after. What lies outside the image never wins: it is left out.
class MaxPoolBits final : public Step {
 public:
    MaxPoolBits(std::string op, int source, int target, const Value& from, const Window& window,
                const std::vector<uint8_t>& minimum)
        : Step(std::move(op), {source}, target), words_(from.row_words()), window_(window), flip_(words_) {
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
                const Inside y(oy, window_.stride_y, window_.top, window_.kernel_height, window_.height);
                for (size_t ox = 0; ox < columns; ++ox) {
                    const Inside x(ox, window_.stride_x, window_.left, window_.kernel_width, window_.width);
                    pixel(image, oy, ox, y, x, out + (place * columns + ox) * words_);
                }
            }
        });
    }
    Work work(const Frame& frame) const override {
        const size_t words = window_.positions() * window_.taps() * words_;
        return {Work::pooled_words, double(frame.images) * double(words)};
    }
    std::string kernel(const Frame&) const override { return "words, or / and"; }

 private:
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
};

// Pools on numbers. Rule::begin(c) and Rule::take(running, x, c) work on one channel, Rule::end(running, c)
// finishes it.
template <typename T, class Rule>
class Pool final : public Step {
 public:
    Pool(std::string op, int source, int target, size_t channels, const Window& window, Rule rule)
        : Step(std::move(op), {source}, target),
          channels_(channels),
          window_(window),
          rule_(std::move(rule)) {}

    void run(const Frame& frame) const override {
        const T* in = frame.at<T>(reads()[0]);
        T* out = frame.at<T>(writes());
        const size_t rows = window_.out_height(), columns = window_.out_width();
        frame.split(work(frame), frame.images * rows, 1, [&](size_t begin, size_t end, int) {
            for (size_t place = begin; place < end; ++place) {
                const T* image = in + place / rows * window_.height * window_.width * channels_;
                const size_t oy = place % rows;
                const Inside y(oy, window_.stride_y, window_.top, window_.kernel_height, window_.height);
                for (size_t ox = 0; ox < columns; ++ox) {
                    const Inside x(ox, window_.stride_x, window_.left, window_.kernel_width, window_.width);
                    T* pixel = out + (place * columns + ox) * channels_;
                    for (size_t c = 0; c < channels_; ++c) pixel[c] = rule_.begin(c);
                    for (size_t ky = y.first; ky < y.last; ++ky) {
                        for (size_t kx = x.first; kx < x.last; ++kx) {
                            const T* under =
                                image +
                                (window_.row(oy, ky) * window_.width + window_.column(ox, kx)) * channels_;
                            for (size_t c = 0; c < channels_; ++c)
                                pixel[c] = rule_.take(pixel[c], under[c], c);
                        }
                    }
                    for (size_t c = 0; c < channels_; ++c) pixel[c] = rule_.end(pixel[c], c);
                }
            }
        });
    }
    Work work(const Frame& frame) const override {
        const size_t numbers = window_.positions() * window_.taps() * channels_;
        return {std::is_same_v<T, uint8_t> ? Work::pooled_codes : Work::pooled_numbers,
                double(frame.images) * double(numbers)};
    }
    std::string kernel(const Frame&) const override {
        return std::is_same_v<T, float> ? "float32" : std::is_same_v<T, uint8_t> ? "codes" : "int32";
    }

 private:
    size_t channels_;
    Window window_;
    Rule rule_;
};

// −x − 1 = ~x turns the order of all int32 round, without overflow, and so it does with bytes. Codes have the
// order of their values.
template <typename T>
struct Largest {
    std::vector<T> mask;
    T begin(size_t) const { return std::numeric_limits<T>::min(); }
    T take(T best, T x, size_t c) const { return std::max(best, static_cast<T>(x ^ mask[c])); }
    T end(T best, size_t c) const { return static_cast<T>(best ^ mask[c]); }
};

// A NaN under the window is the answer, as in numpy.
struct LargestReal {
    std::vector<float> sign;
    float begin(size_t) const { return -INFINITY; }
    float take(float best, float x, size_t c) const {
        const float signed_x = x * sign[c];
        return signed_x > best || signed_x != signed_x ? signed_x : best;
    }
    float end(float best, size_t c) const { return best * sign[c]; }
};

template <typename T>
struct Sum {
    T begin(size_t) const { return 0; }
    T take(T sum, T x, size_t) const { return sum + x; }
    T end(T sum, size_t) const { return sum; }
};

Work elementwise(const Frame& frame, size_t numbers) {
    return {Work::elements, double(frame.images) * double(numbers)};
}

// One number in, one number out: body(i) for all numbers of all images.
template <class Body>
void for_numbers(const Frame& frame, size_t numbers, Body&& body) {
    frame.split(elementwise(frame, numbers), frame.images * numbers, 1024,
                [&](size_t begin, size_t end, int) {
                    for (size_t i = begin; i < end; ++i) body(i);
                });
}

template <typename T>
class AddStep final : public Step {
 public:
    AddStep(std::string op, int left, int right, int target, size_t numbers)
        : Step(std::move(op), {left, right}, target), numbers_(numbers) {}

    void run(const Frame& frame) const override {
        const T *left = frame.at<T>(reads()[0]), *right = frame.at<T>(reads()[1]);
        T* out = frame.at<T>(writes());
        for_numbers(frame, numbers_, [=](size_t i) { out[i] = left[i] + right[i]; });
    }
    Work work(const Frame& frame) const override { return elementwise(frame, numbers_); }
    std::string kernel(const Frame&) const override { return std::is_same_v<T, float> ? "float32" : "int32"; }

 private:
    size_t numbers_;
};

class MulStep final : public Step {
 public:
    MulStep(std::string op, int source, int factor, int target, const Value& value)
        : Step(std::move(op), {source, factor}, target), pixels_(value.pixels()), channels_(value.channels) {}

    void run(const Frame& frame) const override {
        const float *in = frame.at<float>(reads()[0]), *factor = frame.at<float>(reads()[1]);
        float* out = frame.at<float>(writes());
        frame.split(work(frame), frame.images * pixels_, 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row)
                for (size_t i = row * channels_; i < (row + 1) * channels_; ++i) out[i] = in[i] * factor[row];
        });
    }
    Work work(const Frame& frame) const override { return elementwise(frame, pixels_ * channels_); }
    std::string kernel(const Frame&) const override { return "float32"; }

 private:
    size_t pixels_, channels_;
};

template <typename T>
class ReluStep final : public Step {
 public:
    ReluStep(std::string op, int source, int target, size_t numbers)
        : Step(std::move(op), {source}, target), numbers_(numbers) {}

    void run(const Frame& frame) const override {
        const T* in = frame.at<T>(reads()[0]);
        T* out = frame.at<T>(writes());
        for_numbers(frame, numbers_, [=](size_t i) { out[i] = in[i] < 0 ? 0 : in[i]; });  // NaN stays NaN
    }
    Work work(const Frame& frame) const override { return elementwise(frame, numbers_); }
    std::string kernel(const Frame&) const override { return std::is_same_v<T, float> ? "float32" : "int32"; }

 private:
    size_t numbers_;
};

class PReluStep final : public Step {
 public:
    PReluStep(std::string op, int source, int target, const Value& value, std::vector<float> slope)
        : Step(std::move(op), {source}, target),
          rows_(value.numbers() / slope.size()),
          slope_(std::move(slope)) {}

    void run(const Frame& frame) const override {
        const float* in = frame.at<float>(reads()[0]);
        float* out = frame.at<float>(writes());
        const size_t channels = slope_.size();
        frame.split(work(frame), frame.images * rows_, 1, [&](size_t row, size_t end, int) {
            for (; row < end; ++row) {
                for (size_t c = 0; c < channels; ++c) {
                    const float x = in[row * channels + c];
                    out[row * channels + c] = x >= 0 ? x : x * slope_[c];
                }
            }
        });
    }
    Work work(const Frame& frame) const override {
        return {Work::sloped, double(frame.images) * double(rows_ * slope_.size())};
    }
    std::string kernel(const Frame&) const override { return "float32"; }

 private:
    size_t rows_;
    std::vector<float> slope_;
};

template <typename T>
void affine(const T* x, const float* scale, const float* offset, size_t channels, float* out) {
    for (size_t c = 0; c < channels; ++c) {
        const float product = static_cast<float>(x[c]) * scale[c];  // rounded here,
        out[c] = product + offset[c];                               // and once more here: -ffp-contract=off
    }
}

}  // namespace

void affine_row(const int32_t* x, const float* scale, const float* offset, size_t channels, float* out) {
    affine(x, scale, offset, channels, out);
}

void affine_row(const float* x, const float* scale, const float* offset, size_t channels, float* out) {
    affine(x, scale, offset, channels, out);
}

namespace {

// (channels, levels) in any order → (levels, channels), ascending.
template <typename T>
std::vector<T> by_level(std::vector<T> table, size_t channels, size_t levels) {
    std::vector<T> turned(table.size());
    if (table.empty()) return turned;
    for (size_t c = 0; c < channels; ++c) {
        const auto begin = table.begin() + static_cast<std::ptrdiff_t>(c * levels);
        std::sort(begin, begin + static_cast<std::ptrdiff_t>(levels));
        for (size_t l = 0; l < levels; ++l) turned[l * channels + c] = table[c * levels + l];
    }
    return turned;
}

}  // namespace

Thresholds::Thresholds(ThresholdTable table)
    : table_(std::move(table)),
      i32_(by_level(table_.i32, channels(), levels())),
      f32_(by_level(table_.f32, channels(), levels())),
      flip_(makes_bits() ? words_for(channels()) : 0),
      falling_(makes_bits() ? 0 : channels()) {
    for (size_t c = 0; c < channels(); ++c) {
        if (makes_bits())
            flip_[c / kWord] |= uint64_t{!table_.rising[c]} << c % kWord;
        else
            falling_[c] = table_.rising[c] ? 0 : 255;
    }
}

void Thresholds::row(const Kernels& k, const int32_t* x, size_t begin, size_t end, uint8_t* out) const {
    if (makes_bits())
        k.threshold_i32(x, i32_.data() + begin, flip_.data() + begin / kWord, end - begin,
                        reinterpret_cast<uint64_t*>(out) + begin / kWord);
    else
        k.levels_i32({x, i32_.data() + begin, levels(), channels(), falling_.data() + begin, end - begin,
                      out + begin});
}

void Thresholds::row(const Kernels& k, const float* x, size_t begin, size_t end, uint8_t* out) const {
    if (makes_bits())
        k.threshold_f32(x, f32_.data() + begin, flip_.data() + begin / kWord, end - begin,
                        reinterpret_cast<uint64_t*>(out) + begin / kWord);
    else
        k.levels_f32({x, f32_.data() + begin, levels(), channels(), falling_.data() + begin, end - begin,
                      out + begin});
}

std::string Thresholds::text() const {
    return levels() == 1 ? "threshold" : "threshold of " + std::to_string(levels()) + " levels";
}

ThresholdStep::ThresholdStep(std::string op, int source, int target, const Value& from, ThresholdTable table)
    : Step(std::move(op), {source}, target), from_(from), thresholds_(std::move(table)) {}

void ThresholdStep::run(const Frame& frame) const {
    const size_t channels = thresholds_.channels(), rows = from_.numbers() / channels;
    uint8_t* out = frame.at<uint8_t>(writes());
    frame.split(work(frame), frame.images * rows, 1, [&](size_t row, size_t end, int) {
        for (; row < end; ++row) {
            uint8_t* pixel = out + row * thresholds_.row_bytes();
            if (from_.store == Value::i32)
                thresholds_.row(frame.kernels, frame.at<int32_t>(reads()[0]) + row * channels, 0, channels,
                                pixel);
            else
                thresholds_.row(frame.kernels, frame.at<float>(reads()[0]) + row * channels, 0, channels,
                                pixel);
        }
    });
}

Work ThresholdStep::work(const Frame& frame) const {
    return {Work::compared, double(frame.images) * double(from_.numbers()) * double(thresholds_.levels())};
}

std::string ThresholdStep::kernel(const Frame&) const {
    return thresholds_.text() + (from_.store == Value::i32 ? " of int32" : " of float32");
}

AffineStep::AffineStep(std::string op, int source, int target, const Value& from, AffineTable table)
    : Step(std::move(op), {source}, target), from_(from), table_(std::move(table)) {}

void AffineStep::run(const Frame& frame) const {
    const size_t channels = table_.scale.size(), rows = from_.numbers() / channels;
    const float *scale = table_.scale.data(), *offset = table_.offset.data();
    float* out = frame.at<float>(writes());
    frame.split(work(frame), frame.images * rows, 1, [&](size_t row, size_t end, int) {
        for (; row < end; ++row) {
            const size_t at = row * channels;
            if (from_.store == Value::i32)
                affine_row(frame.at<int32_t>(reads()[0]) + at, scale, offset, channels, out + at);
            else
                affine_row(frame.at<float>(reads()[0]) + at, scale, offset, channels, out + at);
        }
    });
}

Work AffineStep::work(const Frame& frame) const {
    return elementwise(frame, from_.numbers());
}

std::unique_ptr<Step> make_pack_input(std::string op, int source, int target, const Value& bits) {
    return std::make_unique<PackInput>(std::move(op), source, target, bits);
}

std::unique_ptr<Step> make_widen(std::string op, int source, int target, const Value& from, bool to_float) {
    if (to_float) return std::make_unique<Widen<float>>(std::move(op), source, target, from);
    return std::make_unique<Widen<int32_t>>(std::move(op), source, target, from);
}

std::unique_ptr<Step> make_copy(std::string op, int source, int target, const Value& value) {
    return std::make_unique<Copy>(std::move(op), source, target, value);
}

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

std::unique_ptr<Step> make_sum_pool(std::string op, int source, int target, const Value& from,
                                    const Window& window) {
    if (from.store == Value::i32)
        return std::make_unique<Pool<int32_t, Sum<int32_t>>>(std::move(op), source, target, from.channels,
                                                             window, Sum<int32_t>{});
    return std::make_unique<Pool<float, Sum<float>>>(std::move(op), source, target, from.channels, window,
                                                     Sum<float>{});
}

std::unique_ptr<Step> make_add(std::string op, int left, int right, int target, const Value& value) {
    if (value.store == Value::i32)
        return std::make_unique<AddStep<int32_t>>(std::move(op), left, right, target, value.numbers());
    return std::make_unique<AddStep<float>>(std::move(op), left, right, target, value.numbers());
}

std::unique_ptr<Step> make_mul(std::string op, int source, int factor, int target, const Value& value) {
    return std::make_unique<MulStep>(std::move(op), source, factor, target, value);
}

std::unique_ptr<Step> make_relu(std::string op, int source, int target, const Value& value) {
    if (value.store == Value::i32)
        return std::make_unique<ReluStep<int32_t>>(std::move(op), source, target, value.numbers());
    return std::make_unique<ReluStep<float>>(std::move(op), source, target, value.numbers());
}

std::unique_ptr<Step> make_prelu(std::string op, int source, int target, const Value& value,
                                 std::vector<float> slope) {
    return std::make_unique<PReluStep>(std::move(op), source, target, value, std::move(slope));
}

}  // namespace binarynet
