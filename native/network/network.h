// A network: values and steps, built op by op, planned once, run from any number of threads at once.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "product/kernel.h"
#include "product/shape.h"
#include "product/weights.h"
#include "schedule.h"
#include "steps/affine.h"
#include "steps/threshold.h"

namespace binarynet {

class Network {
 public:
    // isa: a name of kernels.inc, or empty for active_kernels(). threads: 0 for default_threads(). kernel:
    // what every Linear and Conv2d must run on, or empty for kernel_from_environment(), else the cheapest of
    // each.
    Network(const std::string& isa, int threads, const std::string& kernel = "");
    ~Network();

    // Each returns the number of the value that it makes, and throws std::invalid_argument for what it cannot
    // run. Shapes are (features) or (height, width, channels).
    int add_input(const std::vector<size_t>& shape, const std::string& encoding);
    int add_linear(const std::string& name, int source, PackedWeights weight);
    // weight: (channels, depth), as is that of a convolution.
    int add_linear(const std::string& name, int source, const std::vector<float>& weight, size_t channels);
    // window.height and window.width are taken from the source.
    int add_conv2d(const std::string& name, int source, PackedWeights weight, Window window, size_t groups,
                   int pad_value);
    int add_conv2d(const std::string& name, int source, const std::vector<float>& weight, size_t channels,
                   Window window, size_t groups, int pad_value);
    int add_threshold(const std::string& name, int source, ThresholdTable table);
    int add_affine(const std::string& name, int source, AffineTable table);
    int add_max_pool2d(const std::string& name, int source, Window window,
                       const std::vector<uint8_t>& minimum);
    int add_sum_pool2d(const std::string& name, int source, Window window);
    int add_add(const std::string& name, int left, int right);
    int add_mul(const std::string& name, int source, int factor);
    int add_relu(const std::string& name, int source);
    int add_prelu(const std::string& name, int source, std::vector<float> slope);
    int add_apply(const std::string& name, int source, const std::string& function);
    int add_take(const std::string& name, int source, const std::vector<int32_t>& rows,
                 const std::vector<int32_t>& columns, const std::vector<int32_t>& channels);
    int add_concat(const std::string& name, const std::vector<int>& sources);
    int add_flatten(const std::string& name, int source);
    // A vector of numbers as an image: height, width, channels.
    int add_unflatten(const std::string& name, int source, const std::vector<size_t>& shape);

    // Fuse, lay out the weights, plan the memory. The value is the answer: int32 numbers, or float32.
    void finish(int output);

    // input: `images` images of codes (uint8) or float32; output: images × output_numbers() int32 or float32.
    // seconds: null, or one number for each entry of plan(), to which the time of its step is added: of one
    // thread, where that is long, processor time.
    // False: a byte of the input is no code, and answers are missing.
    bool run(const void* input, size_t images, void* output, double* seconds = nullptr);

    bool finished() const { return output_ >= 0; }
    bool input_is_float() const;
    size_t input_numbers() const { return input_numbers_; }
    bool output_is_float() const;
    size_t output_numbers() const;

    const Kernels& kernels() const { return kernels_; }
    int threads() const { return threads_; }
    // What runs for so many images, in running order.
    struct Planned {
        std::string op, kernel;
        double seconds;                  // expected
        size_t weight_bytes;             // in memory, laid out for the kernel
        Work work;                       // of all threads together
        std::vector<std::string> fused;  // ops that became part of it
    };
    std::vector<Planned> plan(size_t images) const;
    size_t steps() const { return steps_.size(); }       // entries of plan()
    size_t arena_bytes() const { return image_bytes_; }  // activations of one image, at their peak
    size_t weight_bytes() const { return weight_bytes_; }

 private:
    struct Arena;

    const Value& value(int number) const;
    // A new value; in the memory of another, if `shares` is one.
    int make(const Value& value, int shares = -1);
    // The value as int32 or float32: bits and codes are widened once.
    int numbers(int source);
    // The value as float32. Throws for accumulators, which no product reads.
    int reals(const std::string& op, int source);
    int widen(int source, Value::Store store);
    // The value that a product makes.
    int make_answer(const Shape& shape, Value::Store store);
    // What a window makes of an image, with as many channels.
    static Value under(const Window& window, Value from);
    // The window over the image that `source` is. Throws if it is none.
    Window over(const std::string& op, int source, Window window) const;
    int add_product(const std::string& name, int source, PackedWeights weight, std::optional<Window> window,
                    size_t groups, int pad_value);
    int add_product(const std::string& name, int source, const std::vector<float>& weight, size_t channels,
                    std::optional<Window> window, size_t groups, int pad_value);
    // Throws if another kernel than these is forced.
    void must_be(const std::vector<Kernel>& possible, const std::string& op) const;
    // The value whose memory this one lies in.
    int root(int number) const { return (void)value(number), roots_[static_cast<size_t>(number)]; }
    std::vector<int> readers(int number) const;
    void fuse();
    void chain();
    void plan_memory();
    // How a run of images is cut up.
    struct Chunks {
        size_t count, most;  // images of a chunk
        size_t workers;      // that take chunks; 1: all threads share each chunk
        int threads;         // of a chunk
    };
    Chunks chunks(size_t images) const;
    // Is every byte a code of the input?
    bool are_codes(const uint8_t* bytes, size_t count) const;
    void run_chunk(Arena& arena, const uint8_t* input, size_t images, uint8_t* output, int threads,
                   double* seconds);
    std::unique_ptr<Arena> take_arena(size_t images, int threads);
    void give_back(std::unique_ptr<Arena> arena);

    const Kernels& kernels_;
    int threads_;
    std::optional<Kernel> forced_;
    std::vector<Value> values_;
    std::vector<int> roots_;  // of each value
    std::vector<std::unique_ptr<Step>> steps_;
    std::vector<std::pair<std::string, std::string>> fused_;  // op, the op that it became part of
    std::map<std::pair<int, Value::Store>, int> widened_;
    int input_ = -1, output_ = -1;
    size_t input_numbers_ = 0, input_bytes_ = 0;

    Schedule schedule_;
    size_t image_bytes_ = 0, scratch_bytes_ = 0, weight_bytes_ = 0, chunk_images_ = 1;
    std::array<std::atomic<Arena*>, 64> spare_{};  // taken and given back without a lock
};

}  // namespace binarynet
