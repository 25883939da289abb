// In which order images and steps meet, and where values lie meanwhile.
//
// A stage is a run of steps that some images pass through before the next images do, so that what its steps
// hand to each other stays in L2. It ends where the values become small (behind a pool): then more images fit
// at once, and weights, which grow as images shrink, are read less often.
#pragma once

#include <memory>
#include <vector>

#include "steps/step.h"

namespace binarynet {

class Schedule {
 public:
    struct Stage {
        size_t begin, end;  // steps
        size_t images;      // at once, for each thread
    };

    Schedule() = default;
    // roots: for each value, the value whose memory it is. input and output lie in the caller's memory.
    Schedule(const std::vector<std::unique_ptr<Step>>& steps, const std::vector<Value>& values,
             const std::vector<int>& roots, int input, int output);

    const std::vector<Stage>& stages() const { return stages_; }
    // In how many parts so many images pass through a stage.
    size_t parts(const Stage& stage, size_t images, int threads) const {
        const size_t at_once = stage.images * static_cast<size_t>(threads);
        return (images + at_once - 1) / at_once;
    }
    int root(size_t value) const { return roots_[value]; }
    // Does the value outlive its stage? Then there is one for every image of a run, else for those of a
    // stage.
    bool crosses(int root) const { return lives_[static_cast<size_t>(root)].crosses; }
    size_t bytes(int root) const { return bytes_[static_cast<size_t>(root)]; }  // of one image
    // Memory for a run of so many images, and where each value begins (offsets: null, or one per value).
    size_t place(size_t images, size_t threads, size_t* offsets) const;

 private:
    struct Life {
        size_t first = SIZE_MAX, last = 0;  // steps
        size_t stage = 0;
        bool crosses = false;
    };

    std::vector<Stage> stages_;
    std::vector<int> roots_;
    std::vector<size_t> bytes_;
    std::vector<Life> lives_;
    std::vector<int> order_;  // of the values that need memory, as they are made
};

}  // namespace binarynet
