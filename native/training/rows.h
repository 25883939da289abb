// A product whose rows are positions, while it runs: which operand is where. See rows.cpp.
#pragma once

#include <vector>

#include "multiply.h"
#include "scratch.h"

namespace binarynet::training {

// Some positions with the same taps (Axis): [begin, end) of one kind along y and one along x.
struct Part {
    const Axis::Group *y, *x;
    size_t begin, end;
};
// All of them, in shares of some `most`, which are whole numbers of `rows` but for the last.
std::vector<Part> parts_of(const Axis& y, const Axis& x, size_t images, size_t most, size_t rows);

// The n-th position of a part, and those after it.
struct Position {
    size_t wide, high, image, at_y, at_x;
    Position(const Part& part, size_t n)
        : wide(part.x->places.size()),
          high(part.y->places.size()),
          image(n / (high * wide)),
          at_y(n / wide % high),
          at_x(n % wide) {}
    void next() {
        if (++at_x == wide) at_x = 0, ++at_y;
        if (at_y == high) at_y = 0, ++image;
    }
};

// One product: which operand is where.
struct Rows {
    const Kernel& kernel;
    const Geometry& g;
    Unit unit;
    bool forwards;
    Axis y, x;
    // Of the left operand: (piece, image, source, group, steps of 4 bytes). Signs, 32 a step, are ±1 as bytes
    // where tiles take them (`left_signs`).
    const uint8_t* left;
    bool left_signs;
    size_t pieces, steps;
    const Weights& weights;
    // Of the result: value = scale[column] row_scale[image] (mul sum + add), add = `each` times the sum of
    // the weights that were met, or times their number.
    int mul, each;
    const float *scales, *row_scales;  // or null
    float scale;
    float* out;

    size_t columns_each() const { return forwards ? g.filters_each() : g.channels_each(); }
    size_t depth_each() const { return forwards ? g.channels_each() : g.filters_each(); }
    size_t blocks_each() const { return divide_up(columns_each(), kernel.columns); }
    // Steps of the right operand for each tap. Of tiles they are whole ones, with zeros at the end.
    size_t panel_steps() const {
        const size_t found = divide_up(depth_each(), numbers_in_step(unit));
        return kernel.other ? divide_up(found, 16) * 16 : found;
    }
    size_t tap_bytes() const { return panel_steps() * kernel.columns * 4; }
    size_t panel_bytes() const { return g.taps() * tap_bytes(); }
    // Of a position: where its result is, and the operand of its first tap.
    size_t place(const Part& part, const Position& at) const {
        return (at.image * y.places + part.y->places[at.at_y]) * x.places + part.x->places[at.at_x];
    }
    size_t source(const Part& part, const Position& at) const {
        return (at.image * y.sources + part.y->sources[at.at_y]) * x.sources + part.x->sources[at.at_x];
    }
    void panel(size_t block, uint8_t* to, int32_t* sums) const;
    void run(int threads) const;
    void run_on_tiles(int threads) const;
};

}  // namespace binarynet::training
