// The rows that are multiplied: packed values under each position of the window.
#pragma once

#include "shape.h"
#include "steps/step.h"
#include "weights.h"

namespace binarynet {

// In which order the values of the depth follow one another in a packed row: without gaps, or each pixel with
// its own tail, as pixels lie in memory.
class Order {
 public:
    Order() = default;
    explicit Order(const Shape& shape) : words_(words_for(shape.depth)), used_(shape.depth) {}
    static Order by_pixel(const Shape& shape, size_t pixels);

    size_t words() const { return words_; }
    size_t used() const { return used_; }  // bits up to the last value
    // One plane of the weights in this order.
    std::vector<uint64_t> lay_out(const PackedWeights& weight, size_t plane, size_t depth) const;

 private:
    size_t words_ = 0, used_ = 0;
    size_t pixel_ = 0;  // channels of a pixel that has its own tail, or 0
};

// Gathers rows that the source does not hold as they are.
class Rows {
 public:
    Rows(const Shape& shape, uint8_t outside)
        : shape_(shape), image_bytes_(shape.from.bytes()), outside_(outside) {}

    // Bytes of a line of the window that are copied as one.
    static constexpr size_t kShort = 16;
    size_t patch_bytes() const { return shape_.depth + kShort; }
    // Are rows the source's own memory?
    bool direct() const { return shape_.from.store == Value::bits && shape_.in_place(); }
    // "gathered bits"; empty for a Linear.
    const char* text() const;
    // Rows [first, first + count) of all positions of all images of `source`, of one group, in planes of
    // `words` words. patch: memory for patch_bytes().
    void gather(const Kernels& kernels, const void* source, size_t first, size_t count, size_t group,
                size_t words, uint64_t* rows, uint8_t* patch) const;
    // The same of a source of codes, of the only group, as codes one behind the other. rows: memory for
    // kShort bytes more.
    void gather_codes(const uint8_t* source, size_t first, size_t count, uint8_t* rows) const;

 private:
    void gather_bits(const uint64_t* image, size_t oy, size_t ox, size_t group, uint64_t* row) const;
    void gather_patch(const uint8_t* image, size_t oy, size_t ox, size_t group, uint8_t* patch) const;
    // body(image, oy, ox, r) for each of the rows.
    template <class Body>
    void each_position(const void* source, size_t first, size_t count, Body&& body) const;

    Shape shape_;
    size_t image_bytes_;
    uint8_t outside_;  // a code
};

}  // namespace binarynet
