// Steps that treat each pixel by itself, its channels beside those of other values: several of them in a row
// are one pass over memory.
#pragma once

#include <memory>

#include "step.h"
#include "value.h"

namespace binarynet {

class RowStep : public Step {
 public:
    RowStep(std::string op, std::vector<int> reads, int writes, const Value& from, size_t made_bytes)
        : Step(std::move(op), std::move(reads), writes),
          rows_(from.flat ? 1 : from.pixels()),
          width_(from.flat ? from.numbers() : from.channels),
          made_bytes_(made_bytes) {}

    // Of an image; numbers of a row; bytes of what is made of one.
    size_t rows() const { return rows_; }
    size_t width() const { return width_; }
    size_t made_bytes() const { return made_bytes_; }
    // `count` rows, of in, of the value that a step of two reads besides (else null), and of out, which may
    // be in.
    virtual void apply(const Frame& frame, const void* in, const void* beside, void* out,
                       size_t count) const = 0;
    // What it does beside reading and writing.
    virtual Work counts(const Frame& frame) const = 0;
    Work work(const Frame& frame) const final;
    void run(const Frame& frame) const final;
    // Whether it makes float32, into which the next step may write.
    virtual bool makes_reals() const { return true; }

 private:
    size_t rows_, width_, made_bytes_;
};

// The steps one behind the other, each of which reads the float32 that the one before it makes, and nothing
// else does: block by block, which stays in L1.
class Chain final : public Step {
 public:
    explicit Chain(std::vector<std::unique_ptr<RowStep>> steps);
    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override;
    std::string kernel(const Frame& frame) const override;
    size_t scratch_bytes() const override;

 private:
    size_t block() const;  // rows
    std::vector<std::unique_ptr<RowStep>> steps_;
    std::vector<int> beside_;  // of each step: the other value that it reads, or −1
};

}  // namespace binarynet
