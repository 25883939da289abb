#include "network.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "depthwise.h"
#include "dispatch.h"
#include "matmul.h"
#include "real.h"

namespace binarynet {

namespace {

constexpr size_t kLine = 64;
constexpr size_t kChunkBytes = 1 << 20;  // of a chunk of images, what outlives a stage included
constexpr size_t kChunkImages = 256;
// From so many images a thread on, threads take images each for themselves instead of sharing every layer.
constexpr size_t kImagesPerThread = 8;

[[noreturn]] void refuse(const std::string& op, const std::string& why) {
    throw std::invalid_argument(op + ": " + why);
}

using Clock = std::chrono::steady_clock;

}  // namespace

// Memory of one run: activations of up to `images` images, and scratch for every slot.
struct Network::Arena {
    Arena(const Network& network, size_t images, int threads)
        : images(images),
          threads(threads),
          offsets(network.values_.size()),
          activations(network.schedule_.place(images, static_cast<size_t>(threads), offsets.data())),
          memory(activations + checked_product(network.scratch_bytes_, static_cast<size_t>(threads))),
          values(network.values_.size()) {}

    size_t images;
    int threads;
    std::vector<size_t> offsets;  // of values
    size_t activations;           // bytes before the scratch
    Buffer memory;
    std::vector<void*> values;
    bool downwards = false;
};

Network::Network(const std::string& isa, int threads, const std::string& kernel)
    : kernels_(isa.empty() ? active_kernels() : kernels_named(isa)),
      threads_(threads > 0 ? std::min(threads, kMaxThreads) : default_threads()),
      forced_(kernel.empty() ? kernel_from_environment() : kernel_named(kernel)) {
    if (forced_ && !has(kernels_, *forced_))
        throw std::invalid_argument("the instruction set '" + std::string(kernels_.name) +
                                    "' has no kernel '" + name_of(*forced_) + "'");
}

Network::~Network() {
    for (auto& slot : spare_) delete slot.load();
}

const Value& Network::value(int number) const {
    if (number < 0 || static_cast<size_t>(number) >= values_.size())
        throw std::invalid_argument("there is no value " + std::to_string(number));
    return values_[static_cast<size_t>(number)];
}

int Network::make(Value value) {
    if (finished()) throw std::invalid_argument("the network is finished; nothing can be added");
    (void)value.bytes();  // throws if it does not fit
    values_.push_back(value);
    return static_cast<int>(values_.size()) - 1;
}

int Network::root(int number) const {
    while (value(number).root >= 0) number = value(number).root;
    return number;
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
    to.root = -1;
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

Value Network::product(const std::string& op, int source, std::optional<Window>& window,
                       size_t channels) const {
    const Value& from = value(source);
    Value to;
    to.channels = channels;
    if (!window) return to;
    if (from.flat) refuse(op, "reads a vector, needs an image");
    window->height = from.height;
    window->width = from.width;
    window->check();
    to.height = window->out_height();
    to.width = window->out_width();
    return to;
}

int Network::add_product(const std::string& name, int source, PackedWeights weight,
                         std::optional<Window> window, size_t groups, int pad_value) {
    Value to = product(name, source, window, weight.channels);
    if (value(source).is_number()) {
        must_be({Kernel::lookup, Kernel::multiply}, name);
        const bool looks_up = RealMatmul::looks_up(kernels_, weight.code.bits, weight.channels);
        source = reals(name, source);
        to.store = Value::f32;
        const int target = make(to);
        steps_.push_back(std::make_unique<RealMatmul>(
            name, source, target, value(source), std::move(weight), window, groups, pad_value,
            forced_.value_or(looks_up ? Kernel::lookup : Kernel::multiply)));
        return target;
    }
    const Value from = value(source);
    const int target = make(to);
    const bool depthwise = window && from.store == Value::bits && from.code.is_sign() &&
                           weight.code.is_sign() && groups > 1 && groups == from.channels &&
                           groups == weight.channels;
    std::vector<Kernel> possible{Kernel::popcount};
    if (kernels_.tile_depth) possible.push_back(Kernel::tiles);
    if (depthwise) possible.push_back(Kernel::counters);
    must_be(possible, name);
    if (depthwise && forced_.value_or(Kernel::counters) == Kernel::counters)
        steps_.push_back(
            std::make_unique<Depthwise>(name, source, target, from, std::move(weight), *window, pad_value));
    else
        steps_.push_back(std::make_unique<Matmul>(name, source, target, from, std::move(weight), window,
                                                  groups, pad_value, forced_));
    return target;
}

int Network::add_product(const std::string& name, int source, const std::vector<float>& weight,
                         size_t channels, std::optional<Window> window, size_t groups, int pad_value) {
    Value to = product(name, source, window, channels);
    must_be({Kernel::multiply}, name);
    source = reals(name, source);
    to.store = Value::f32;
    const int target = make(to);
    steps_.push_back(std::make_unique<RealMatmul>(name, source, target, value(source), weight, channels,
                                                  window, groups, pad_value));
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
    to.root = -1;
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
    to.root = -1;
    const int target = make(to);
    steps_.push_back(std::make_unique<AffineStep>(name, source, target, from, std::move(table)));
    return target;
}

int Network::add_max_pool2d(const std::string& name, int source, Window window,
                            const std::vector<uint8_t>& minimum) {
    const Value from = value(source);
    if (from.flat) refuse(name, "reads a vector, needs an image");
    window.height = from.height;
    window.width = from.width;
    window.check();
    if (minimum.size() != from.channels) refuse(name, "needs one direction per channel");
    if (std::max(window.top, window.bottom) >= window.kernel_height ||
        std::max(window.left, window.right) >= window.kernel_width)
        refuse(name, "a window may not lie wholly in the padding");
    Value to = from;
    to.height = window.out_height();
    to.width = window.out_width();
    to.root = -1;
    const int target = make(to);
    steps_.push_back(make_max_pool(name, source, target, from, window, minimum));
    return target;
}

int Network::add_sum_pool2d(const std::string& name, int source, Window window) {
    source = numbers(source);
    const Value from = value(source);
    if (from.flat) refuse(name, "reads a vector, needs an image");
    window.height = from.height;
    window.width = from.width;
    window.check();
    Value to = from;
    to.height = window.out_height();
    to.width = window.out_width();
    to.root = -1;
    const int target = make(to);
    steps_.push_back(make_sum_pool(name, source, target, from, window));
    return target;
}

int Network::add_add(const std::string& name, int left, int right) {
    const Value a = value(left), b = value(right);
    if (a.store != b.store || !a.is_number() || a.height != b.height || a.width != b.width ||
        a.channels != b.channels)
        refuse(name, "adds two values of one shape, both int32 or both float32");
    Value to = a;
    to.root = -1;
    const int target = make(to);
    steps_.push_back(make_add(name, left, right, target, a));
    return target;
}

int Network::add_mul(const std::string& name, int source, int factor) {
    const Value from = value(source), by = value(factor);
    if (from.store != Value::f32 || by.store != Value::f32 || by.height != from.height ||
        by.width != from.width || by.channels != 1)
        refuse(name, "multiplies float32 by a float32 image of the same size and one channel");
    Value to = from;
    to.root = -1;
    const int target = make(to);
    steps_.push_back(make_mul(name, source, factor, target, from));
    return target;
}

int Network::add_relu(const std::string& name, int source) {
    const Value from = value(source);
    if (!from.is_number()) refuse(name, "reads int32 or float32");
    Value to = from;
    to.root = -1;
    const int target = make(to);
    steps_.push_back(make_relu(name, source, target, from));
    return target;
}

int Network::add_prelu(const std::string& name, int source, std::vector<float> slope) {
    const Value from = value(source);
    if (from.store != Value::f32) refuse(name, "reads float32");
    if (slope.size() != from.channels) refuse(name, "needs one slope per channel");
    Value to = from;
    to.root = -1;
    const int target = make(to);
    steps_.push_back(make_prelu(name, source, target, from, std::move(slope)));
    return target;
}

// Never moves data. Bits whose pixels end within a word stay pixels, with their tails.
int Network::add_flatten(const std::string&, int source) {
    Value to = value(source);
    to.root = source;
    to.flat = to.store == Value::bits && to.pixels() > 1 && to.channels % kWord != 0;
    if (!to.flat) {
        to.channels = to.numbers();
        to.height = to.width = 1;
    }
    return make(to);
}

std::vector<int> Network::readers(int number) const {
    std::vector<int> found;
    for (size_t i = 0; i < steps_.size(); ++i)
        for (int read : steps_[i]->reads())
            if (root(read) == root(number)) found.push_back(static_cast<int>(i));
    return found;
}

// A product whose only reader is a threshold or an affine makes that value itself; the accumulators never
// reach memory.
void Network::fuse() {
    for (size_t i = 0; i < steps_.size(); ++i) {
        auto* product = dynamic_cast<Product*>(steps_[i].get());
        if (!product || root(product->writes()) == root(output_)) continue;
        const std::vector<int> reading = readers(product->writes());
        if (reading.size() != 1) continue;
        const auto next = steps_.begin() + reading[0];
        // Per-channel tables belong to the product's channels; those of a flattened image belong to other
        // ones.
        if ((*next)->reads()[0] != product->writes() && product->positions() > 1) continue;
        bool done = false;
        if (const auto* threshold = dynamic_cast<ThresholdStep*>(next->get()))
            done = product->fuse(*threshold, kernels_);
        if (const auto* affine = dynamic_cast<AffineStep*>(next->get())) done = product->fuse(*affine);
        if (!done) continue;
        fused_.emplace_back((*next)->op(), product->op());
        steps_.erase(next);
    }
}

void Network::finish(int output) {
    if (finished()) throw std::invalid_argument("the network is finished already");
    if (input_ < 0) throw std::invalid_argument("the network has no input");
    output = numbers(output);
    if (root(output) == input_) {  // an f32 input that is also the answer
        const Value same = value(output);
        Value to = same;
        to.root = -1;
        const int target = make(to);
        steps_.push_back(make_copy("copy", output, target, same));
        output = target;
    }
    output_ = output;
    fuse();
    for (const auto& step : steps_) {
        if (auto* product = dynamic_cast<Product*>(step.get())) product->seal(kernels_);
        scratch_bytes_ = std::max(scratch_bytes_, round_up(step->scratch_bytes(), kLine));
        weight_bytes_ += step->weight_bytes();
    }
    plan_memory();
}

void Network::plan_memory() {
    std::vector<int> roots;
    for (size_t i = 0; i < values_.size(); ++i) roots.push_back(root(static_cast<int>(i)));
    schedule_ = Schedule(steps_, values_, roots, input_, root(output_));
    image_bytes_ = schedule_.place(1, 1, nullptr);
    chunk_images_ = kChunkImages;
    while (chunk_images_ > 1 && schedule_.place(chunk_images_, 1, nullptr) > kChunkBytes)
        chunk_images_ -= (chunk_images_ + 3) / 4;
}

bool Network::input_is_float() const {
    return value(input_).store == Value::f32;
}
bool Network::output_is_float() const {
    return value(output_).store == Value::f32;
}
size_t Network::output_numbers() const {
    return value(output_).numbers();
}

std::unique_ptr<Network::Arena> Network::take_arena(size_t images, int threads) {
    std::unique_ptr<Arena> small;
    for (auto& slot : spare_) {
        std::unique_ptr<Arena> arena(slot.exchange(nullptr, std::memory_order_acq_rel));
        if (arena && arena->images >= images && arena->threads >= threads) {
            if (small) give_back(std::move(small));
            return arena;
        }
        if (small) give_back(std::move(small));
        small = std::move(arena);
    }
    small.reset();  // a larger one takes its place
    return std::make_unique<Arena>(*this, images, threads);
}

void Network::give_back(std::unique_ptr<Arena> arena) {
    for (auto& slot : spare_) {
        Arena* none = nullptr;
        if (!slot.compare_exchange_strong(none, arena.get(), std::memory_order_acq_rel)) continue;
        (void)arena.release();
        return;
    }
}

bool Network::are_codes(const uint8_t* bytes, size_t count) const {
    const Value& input = value(input_);
    if (input.store != Value::codes || input.code.bits == 8) return true;
    uint8_t any = 0;
    for (size_t i = 0; i < count; ++i) any |= bytes[i];
    return any <= input.code.largest();
}

void Network::run_chunk(Arena& arena, const uint8_t* input, size_t images, uint8_t* output, int threads,
                        double* seconds) {
    uint8_t* const memory = arena.memory.as<uint8_t>();
    arena.downwards = !arena.downwards;
    for (const Schedule::Stage& stage : schedule_.stages()) {
        const size_t parts = schedule_.parts(stage, images, threads);
        for (size_t part = 0; part < parts; ++part) {
            const size_t first = images * part / parts, count = images * (part + 1) / parts - first;
            for (size_t i = 0; i < values_.size(); ++i) {
                const int number = schedule_.root(i);
                const size_t skipped = schedule_.crosses(number) ? first * schedule_.bytes(number) : 0;
                if (number == input_)
                    arena.values[i] = const_cast<uint8_t*>(input) + skipped;  // no step writes to the input
                else if (number == schedule_.root(static_cast<size_t>(output_)))
                    arena.values[i] = output + skipped;
                else
                    arena.values[i] = memory + arena.offsets[static_cast<size_t>(number)] + skipped;
            }
            const Frame frame{kernels_,       weight_bytes_,       count,
                              threads,        arena.values.data(), memory + arena.activations,
                              scratch_bytes_, arena.downwards};
            for (size_t i = stage.begin; i < stage.end; ++i) {
                if (!seconds) {
                    steps_[i]->run(frame);
                    continue;
                }
                const auto begin = Clock::now();
                steps_[i]->run(frame);
                seconds[i] += std::chrono::duration<double>(Clock::now() - begin).count();
            }
        }
    }
}

Network::Chunks Network::chunks(size_t images) const {
    const bool by_image = threads_ > 1 && images >= kImagesPerThread * static_cast<size_t>(threads_);
    const size_t workers = by_image ? static_cast<size_t>(threads_) : 1;
    // Equal chunks, and as many for each thread.
    const size_t count = round_up((images + chunk_images_ - 1) / chunk_images_, workers);
    return {count, (images + count - 1) / count, workers, by_image ? 1 : threads_};
}

bool Network::run(const void* input, size_t images, void* output, double* seconds) {
    if (!finished()) throw std::invalid_argument("finish() the network before it runs");
    if (!images) return true;
    std::atomic<bool> fit{true};
    const size_t output_bytes = value(output_).bytes();
    const Chunks cut = chunks(images);
    auto chunk = [&](Arena& arena, size_t i, double* times) {
        const size_t begin = images * i / cut.count, end = images * (i + 1) / cut.count;
        const uint8_t* first = static_cast<const uint8_t*>(input) + begin * input_bytes_;
        if (!are_codes(first, (end - begin) * input_bytes_)) return fit.store(false);
        run_chunk(arena, first, end - begin, static_cast<uint8_t*>(output) + begin * output_bytes,
                  cut.threads, times);
    };
    if (cut.workers == 1) {
        auto arena = take_arena(cut.most, threads_);
        for (size_t i = 0; i < cut.count; ++i) chunk(*arena, i, seconds);
        give_back(std::move(arena));
        return fit.load();
    }
    std::array<std::unique_ptr<Arena>, kMaxThreads> arenas;
    // The first has scratch for every thread, so that a later call with few images finds it large enough.
    for (size_t slot = 0; slot < cut.workers; ++slot)
        arenas[slot] = take_arena(cut.most, slot ? 1 : threads_);
    std::vector<double> times(seconds ? cut.workers * steps_.size() : 0);
    parallel_for(cut.count, threads_, [&](size_t i, int slot) {
        const auto place = static_cast<size_t>(slot);
        chunk(*arenas[place], i, seconds ? &times[place * steps_.size()] : nullptr);
    });
    for (size_t i = 0; i < times.size(); ++i)
        seconds[i % steps_.size()] += times[i] / static_cast<double>(cut.workers);
    for (size_t slot = 0; slot < cut.workers; ++slot) give_back(std::move(arenas[slot]));
    return fit.load();
}

std::vector<Network::Planned> Network::plan(size_t images) const {
    const Chunks cut = chunks(std::max<size_t>(images, 1));
    std::vector<Planned> list;
    for (const Schedule::Stage& stage : schedule_.stages()) {
        const size_t parts = schedule_.parts(stage, cut.most, cut.threads);
        const Frame frame{kernels_, weight_bytes_, (cut.most + parts - 1) / parts, cut.threads};
        const auto runs = static_cast<double>(cut.count * parts);
        for (size_t i = stage.begin; i < stage.end; ++i) {
            const Step& step = *steps_[i];
            list.push_back({step.op(),
                            step.kernel(frame),
                            step.nanoseconds(frame) * 1e-9 * runs / static_cast<double>(cut.workers),
                            step.weight_bytes(),
                            step.work(frame),
                            {}});
            for (double& amount : list.back().work.amount) amount *= runs;
            for (const auto& [op, into] : fused_)
                if (into == step.op()) list.back().fused.push_back(op);
        }
    }
    return list;
}

void Network::must_be(const std::vector<Kernel>& possible, const std::string& op) const {
    if (!forced_ || std::count(possible.begin(), possible.end(), *forced_)) return;
    std::string names;
    for (Kernel kernel : possible) names += (names.empty() ? "" : ", ") + std::string(name_of(kernel));
    refuse(op, "cannot run on the kernel '" + std::string(name_of(*forced_)) + "'; it can run on " + names);
}

}  // namespace binarynet
