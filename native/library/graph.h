// The graph of a file: ops as they stand in it, their tensors still lying in the file's bytes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "library/encoding.h"

namespace binarynet {

using Sizes = std::vector<int64_t>;
using Pair = std::array<int64_t, 2>;

// Sizes multiply and add without end in Python; here they stay at the largest number.
inline uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
inline uint64_t plus(uint64_t a, uint64_t b) {
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}
// Of sizes that are not negative.
inline uint64_t product(const Sizes& sizes, size_t from = 0) {
    uint64_t all = 1;
    for (size_t i = from; i < sizes.size(); ++i) all = times(all, static_cast<uint64_t>(sizes[i]));
    return all;
}
inline bool all_positive(const Sizes& sizes) {
    for (int64_t size : sizes)
        if (size < 1) return false;
    return true;
}
std::string shown(const Sizes& sizes);

// A tensor in the bytes of the file, which lie at any address.
struct Tensor {
    enum Type { u64, i32, f32 };

    Type type = u64;
    Sizes shape;
    const uint8_t* bytes = nullptr;

    size_t numbers() const { return product(shape); }
    template <typename T>
    T at(size_t i) const {
        T number;
        std::memcpy(&number, bytes + i * sizeof(T), sizeof(T));
        return number;
    }
    template <typename T>
    std::vector<T> copy() const {
        std::vector<T> numbers(this->numbers());
        std::memcpy(numbers.data(), bytes, numbers.size() * sizeof(T));
        return numbers;
    }
    std::string text() const;  // "I32 [3, 4]"
};

// Weights, or yes and no: the shape that is meant, and the words, or reals, that say it.
struct Packed {
    Sizes shape;
    Tensor tensor;
};

struct OpKind;

// Every field that some op has; which of them an op of a kind has, its row of ops.cpp says.
struct Op {
    const OpKind* kind = nullptr;
    std::string name;
    std::vector<std::string> sources;
    Sizes shape;
    std::string encoding, weight_encoding, function;
    Packed weight, rising, minimum;
    Tensor thresholds, scale, offset, slope, rows, columns, channels;
    Pair kernel{}, stride{}, dilation{1, 1};
    std::array<Pair, 2> padding{};  // top, bottom; left, right
    int64_t pad_value = 0, groups = 1;
};

// The type of a value: its shape for one image, and for integers the largest absolute value.
struct ValueType {
    Sizes shape;
    Encoding encoding;
    int64_t bound = 0;

    int64_t channels() const { return shape.back(); }
    std::string text() const { return shown(shape) + " " + encoding.name(); }
};

// A vector is an image of one pixel.
using Image = std::array<int64_t, 3>;
inline Image as_image(const Sizes& shape) {
    return shape.size() == 1 ? Image{1, 1, shape[0]} : Image{shape[0], shape[1], shape[2]};
}

// One of several answers, which stand one behind the other in the vector that the last op makes.
struct Output {
    std::string name;
    Sizes shape;
};

struct Graph {
    std::vector<Op> ops;
    std::map<std::string, std::string> meta;
    std::vector<Output> outputs;  // none: one answer

    std::vector<std::string> classes() const;
};

}  // namespace binarynet
