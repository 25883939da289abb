// Ops become steps, one by one.
#include <algorithm>
#include <stdexcept>

#include "network.h"
#include "product/depthwise.h"
#include "product/depthwise_real.h"
#include "product/matmul.h"
#include "product/real.h"
#include "steps/steps.h"

namespace binarynet {

namespace {

[[noreturn]] void refuse(const std::string& op, const std::string& why) {
    throw std::invalid_argument(op + ": " + why);
}

}  // namespace

const Value& Network::value(int number) const {
    if (number < 0 || static_cast<size_t>(number) >= values_.size())
        throw std::invalid_argument("there is no value " + std::to_string(number));
    return values_[static_cast<size_t>(number)];
}

int Network::make(const Value& value, int shares) {
    if (finished()) throw std::invalid_argument("the network is finished; nothing can be added");
    (void)value.bytes();  // throws if it does not fit
    values_.push_back(value);
    const int made = static_cast<int>(values_.size()) - 1;
    roots_.push_back(shares < 0 ? made : root(shares));
    return made;
}

int Network::add_input(const std::vector<size_t>& shape, const std::string& encoding) {
    if (input_ >= 0) refuse("Input", "there is one already");
    if ((shape.size() != 1 && shape.size() != 3) || *std::min_element(shape.begin(), shape.end()) == 0)
        refuse("Input", "a shape is (features) or (height, width, channels)");
    const bool image = shape.size() == 3;
    Value v;
    v.store = encoding == "f32" ? Value::f32 : Value::codes;
    v.height = image ? shape[0] : 1;
    v.width = image ? shape[1] : 1;
    v.channels = shape.back();
    if (v.store == Value::codes) {
        const bool known = !encoding.empty() && (encoding[0] == 'b' || encoding[0] == 'u');
        if (!known) refuse("Input", "encoding " + encoding + " is none of b1 … b8, u1 … u8, f32");
        v.code = Code::parse(encoding);
    }
    input_ = make(v);
    input_bytes_ = v.bytes();
    input_numbers_ = v.numbers();
    if (v.store == Value::f32 || v.code.bits > 1) return input_;
    v.store = Value::bits;
    const int packed = make(v);
    steps_.push_back(make_pack_input("pack input", input_, packed, v));
    return packed;
}

int Network::widen(int source, Value::Store store) {
    if (const auto known = widened_.find({source, store}); known != widened_.end()) return known->second;
    const Value from = value(source);
    Value to = from;
    to.store = store;
    if (from.flat) {
        to.flat = false;
        to.channels = from.numbers();
        to.height = to.width = 1;
    }
    const int target = make(to);
    steps_.push_back(make_widen("widen", source, target, from, store == Value::f32));
    widened_[{source, store}] = target;
    return target;
}

int Network::numbers(int source) {
    return value(source).is_number() ? source : widen(source, Value::i32);
}

int Network::reals(const std::string& op, int source) {
    if (value(source).store == Value::i32) refuse(op, "multiplies bits, codes and reals, not accumulators");
    return value(source).store == Value::f32 ? source : widen(source, Value::f32);
}

Window Network::over(const std::string& op, int source, Window window) const {
    const Value& from = value(source);
    if (from.flat) refuse(op, "reads a vector, needs an image");
    window.height = from.height;
    window.width = from.width;
    window.check();
    return window;
}

Value Network::under(const Window& window, Value from) {
    from.height = window.out_height();
    from.width = window.out_width();
    return from;
}

void Network::must_be(const std::vector<Kernel>& possible, const std::string& op) const {
    if (!forced_ || std::count(possible.begin(), possible.end(), *forced_)) return;
    std::string names;
    for (Kernel kernel : possible) names += (names.empty() ? "" : ", ") + std::string(name_of(kernel));
    refuse(op, "cannot run on the kernel '" + std::string(name_of(*forced_)) + "'; it can run on " + names);
}

int Network::make_answer(const Shape& shape, Value::Store store) {
    Value to;
    to.store = store;
    to.channels = shape.channels;
    return make(shape.window ? under(*shape.window, to) : to);
}

int Network::add_product(const std::string& name, int source, PackedWeights weight,
                         std::optional<Window> window, size_t groups, int pad_value) {
    if (window) window = over(name, source, *window);
    if (value(source).is_number()) {
        must_be({Kernel::lookup, Kernel::multiply}, name);
        const bool looks_up = RealMatmul::looks_up(kernels_, weight.code.bits, weight.channels);
        source = reals(name, source);
        const Shape shape(value(source), window, weight.channels, groups);
        const int target = make_answer(shape, Value::f32);
        steps_.push_back(
            std::make_unique<RealMatmul>(name, source, target, shape, std::move(weight), pad_value,
                                         forced_.value_or(looks_up ? Kernel::lookup : Kernel::multiply)));
        return target;
    }
    const Shape shape(value(source), window, weight.channels, groups);
    const int target = make_answer(shape, Value::i32);
    const bool depthwise = Depthwise::takes(shape, weight.code);
    std::vector<Kernel> possible{Kernel::popcount};
    if (kernels_.tile_depth) possible.push_back(Kernel::tiles);
    if (VerticalMatmul::takes(shape, weight.code)) possible.push_back(Kernel::vertical);
    if (BitslicedMatmul::takes(shape, weight.code)) possible.push_back(Kernel::bitsliced);
    const Planes planes(shape.from.code, weight.code);
    if (kernels_.lookup.channels && CodesMatmul::takes(shape, planes)) possible.push_back(Kernel::lookup);
    if (depthwise) possible.push_back(Kernel::counters);
    must_be(possible, name);
    if (depthwise && forced_.value_or(Kernel::counters) == Kernel::counters)
        steps_.push_back(
            std::make_unique<Depthwise>(name, source, target, shape, std::move(weight), pad_value));
    else
        steps_.push_back(
            std::make_unique<Matmul>(name, source, target, shape, std::move(weight), pad_value, forced_));
    return target;
}

int Network::add_product(const std::string& name, int source, const std::vector<float>& weight,
                         size_t channels, std::optional<Window> window, size_t groups, int pad_value) {
    if (window) window = over(name, source, *window);
    must_be({Kernel::multiply}, name);
    source = reals(name, source);
    const Shape shape(value(source), window, channels, groups);
    const int target = make_answer(shape, Value::f32);
    if (RealDepthwise::takes(shape))
        steps_.push_back(std::make_unique<RealDepthwise>(name, source, target, shape, weight, pad_value));
    else
        steps_.push_back(std::make_unique<RealMatmul>(name, source, target, shape, weight, pad_value));
    return target;
}

int Network::add_linear(const std::string& name, int source, PackedWeights weight) {
    return add_product(name, source, std::move(weight), std::nullopt, 1, 0);
}

int Network::add_linear(const std::string& name, int source, const std::vector<float>& weight,
                        size_t channels) {
    return add_product(name, source, weight, channels, std::nullopt, 1, 0);
}

int Network::add_conv2d(const std::string& name, int source, PackedWeights weight, Window window,
                        size_t groups, int pad_value) {
    return add_product(name, source, std::move(weight), window, groups, pad_value);
}

int Network::add_conv2d(const std::string& name, int source, const std::vector<float>& weight,
                        size_t channels, Window window, size_t groups, int pad_value) {
    return add_product(name, source, weight, channels, window, groups, pad_value);
}

int Network::add_threshold(const std::string& name, int source, ThresholdTable table) {
    source = numbers(source);
    const Value from = value(source);
    const size_t thresholds = from.store == Value::i32 ? table.i32.size() : table.f32.size();
    const auto levels = static_cast<size_t>(table.code.count) - 1;
    if (thresholds != from.channels * levels || table.rising.size() != from.channels)
        refuse(name, "needs " + std::to_string(levels) +
                         " thresholds of the source's type and one direction per channel");
    Value to = from;
    to.store = table.code.bits == 1 ? Value::bits : Value::codes;
    to.code = table.code;
    const int target = make(to);
    steps_.push_back(std::make_unique<ThresholdStep>(name, source, target, from, std::move(table)));
    return target;
}

int Network::add_affine(const std::string& name, int source, AffineTable table) {
    source = numbers(source);
    const Value from = value(source);
    if (table.scale.size() != from.channels || table.offset.size() != from.channels)
        refuse(name, "needs one scale and one offset per channel");
    Value to = from;
    to.store = Value::f32;
    const int target = make(to);
    steps_.push_back(std::make_unique<AffineStep>(name, source, target, from, std::move(table)));
    return target;
}

int Network::add_max_pool2d(const std::string& name, int source, Window window,
                            const std::vector<uint8_t>& minimum) {
    const Value from = value(source);
    window = over(name, source, window);
    if (minimum.size() != from.channels) refuse(name, "needs one direction per channel");
    if (std::max(window.top, window.bottom) >= window.kernel_height ||
        std::max(window.left, window.right) >= window.kernel_width)
        refuse(name, "a window may not lie wholly in the padding");
    const int target = make(under(window, from));
    steps_.push_back(make_max_pool(name, source, target, from, window, minimum));
    return target;
}

int Network::add_sum_pool2d(const std::string& name, int source, Window window) {
    source = numbers(source);
    const Value from = value(source);
    window = over(name, source, window);
    const int target = make(under(window, from));
    steps_.push_back(make_sum_pool(name, source, target, from, window));
    return target;
}

int Network::add_add(const std::string& name, int left, int right) {
    const Value a = value(left), b = value(right);
    if (a.store != b.store || !a.is_number() || a.height != b.height || a.width != b.width ||
        a.channels != b.channels)
        refuse(name, "adds two values of one shape, both int32 or both float32");
    const int target = make(a);
    steps_.push_back(make_add(name, left, right, target, a));
    return target;
}

int Network::add_mul(const std::string& name, int source, int factor) {
    const Value from = value(source), by = value(factor);
    auto fits = [](size_t size, size_t whole) { return size == 1 || size == whole; };
    if (from.store != Value::f32 || by.store != Value::f32 || !fits(by.height, from.height) ||
        !fits(by.width, from.width) || !fits(by.channels, from.channels))
        refuse(name, "multiplies float32 by float32 of the same sizes, or 1 in the place of some");
    const int target = make(from);
    steps_.push_back(by.numbers() == from.numbers() ? make_product(name, source, factor, target, from)
                                                    : make_mul(name, source, factor, target, from, by));
    return target;
}

int Network::add_relu(const std::string& name, int source) {
    const Value from = value(source);
    if (!from.is_number()) refuse(name, "reads int32 or float32");
    const int target = make(from);
    steps_.push_back(make_relu(name, source, target, from));
    return target;
}

int Network::add_prelu(const std::string& name, int source, std::vector<float> slope) {
    const Value from = value(source);
    if (from.store != Value::f32) refuse(name, "reads float32");
    if (slope.size() != from.channels) refuse(name, "needs one slope per channel");
    const int target = make(from);
    steps_.push_back(make_prelu(name, source, target, from, std::move(slope)));
    return target;
}

int Network::add_apply(const std::string& name, int source, const std::string& function) {
    const Value from = value(source);
    if (from.store != Value::f32) refuse(name, "reads float32");
    const int target = make(from);
    steps_.push_back(make_apply(name, source, target, from, function));
    return target;
}

int Network::add_take(const std::string& name, int source, const std::vector<int32_t>& rows,
                      const std::vector<int32_t>& columns, const std::vector<int32_t>& channels) {
    const Value from = value(source);
    Value to = from;
    to.flat = false;
    to.height = rows.size();
    to.width = columns.size();
    to.channels = channels.size();
    auto fit = [&](const std::vector<int32_t>& places, size_t size) {
        bool fits = !places.empty();
        for (const int32_t place : places)
            fits &= place >= 0 ? static_cast<size_t>(place) < size
                               : place == -1 && (from.is_number() || from.code.of(0) >= 0);
        return fits;
    };
    if (!fit(rows, from.flat ? 1 : from.height) || !fit(columns, from.flat ? 1 : from.width) ||
        !fit(channels, from.flat ? from.numbers() : from.channels))
        refuse(name, "takes places of the source, or -1 for a 0 that its encoding has");
    const int target = make(to);
    steps_.push_back(make_take(name, source, target, from, to, rows, columns, channels));
    return target;
}

int Network::add_concat(const std::string& name, const std::vector<int>& sources) {
    if (sources.size() < 2) refuse(name, "joins two values or more");
    std::vector<Value> parts;
    for (const int source : sources) parts.push_back(value(source));
    Value to = parts[0];
    to.channels = 0;
    if (to.flat) to.height = to.width = 1;
    to.flat = false;
    for (const Value& part : parts) {
        const bool sizes = part.flat ? to.pixels() == 1 : part.height == to.height && part.width == to.width;
        const bool codes =
            part.is_number() || (part.code.bits == to.code.bits && part.code.low == to.code.low &&
                                 part.code.count == to.code.count);
        if (part.store != to.store || !sizes || !codes) refuse(name, "joins values of one size and encoding");
        to.channels += part.flat ? part.numbers() : part.channels;
    }
    const int target = make(to);
    steps_.push_back(make_concat(name, sources, target, std::move(parts), to));
    return target;
}

// Never moves data. Bits whose pixels end within a word stay pixels, with their tails.
int Network::add_flatten(const std::string&, int source) {
    Value to = value(source);
    to.flat = to.store == Value::bits && to.pixels() > 1 && to.channels % kWord != 0;
    if (!to.flat) {
        to.channels = to.numbers();
        to.height = to.width = 1;
    }
    return make(to, source);
}

int Network::add_unflatten(const std::string& name, int source, const std::vector<size_t>& shape) {
    Value to = value(source);
    const size_t numbers = to.numbers();
    if (!to.is_number() || to.pixels() != 1) refuse(name, "reads a vector of int32 or float32");
    bool fits = shape.size() == 3;
    for (const size_t side : shape) fits &= side >= 1 && side <= numbers;
    if (!fits || shape[0] * shape[1] > numbers || shape[0] * shape[1] * shape[2] != numbers)
        refuse(name, "makes an image of as many numbers as the vector has");
    to.height = shape[0];
    to.width = shape[1];
    to.channels = shape[2];
    return make(to, source);
}

}  // namespace binarynet
