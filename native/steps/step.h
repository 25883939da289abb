// A step of a network: it makes one value from others.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "kernels/contract.h"
#include "value.h"

namespace binarynet {

// A region of work costs about that much where the workers are awake.
constexpr double kRegionNanoseconds = 2000;

// What the steps of one run see: `images` images, one pointer per value, scratch memory per slot. A plan
// needs no memory.
struct Frame {
    const Kernels& kernels;
    size_t weight_bytes;  // of the whole network, which go through the caches once a run
    size_t images;
    int threads;
    void* const* values = nullptr;
    uint8_t* scratch = nullptr;
    size_t scratch_bytes = 0;  // per slot
    bool downwards = false;    // as in Gemm

    template <typename T>
    T* at(int value) const {
        return static_cast<T*>(values[value]);
    }

    // body(begin, end, slot) over [0, rows), in parallel if that is worth a region; block borders are
    // multiples of grain.
    template <class Body>
    void split(const Work& work, size_t rows, size_t grain, Body&& body) const {
        const size_t grains = (rows + grain - 1) / grain;
        const size_t blocks = worthwhile(work) ? std::min(grains, static_cast<size_t>(threads) * 4) : 1;
        parallel_for(blocks, threads, [&](size_t i, int slot) {
            const size_t begin = grains * i / blocks * grain,
                         end = std::min(rows, grains * (i + 1) / blocks * grain);
            if (begin < end) body(begin, end, slot);
        });
    }

    // How a step counts a KB of weights that it reads: by the cache that all weights of the network fit.
    Work::Count weights() const {
        return weight_bytes <= 1 << 20   ? Work::near_weights
               : weight_bytes <= 3 << 20 ? Work::edge_weights
                                         : Work::far_weights;
    }
    double nanoseconds(const Work& work) const { return kernels.prices->nanoseconds(work); }
    bool worthwhile(const Work& work) const {
        return threads > 1 && nanoseconds(work) > 4 * kRegionNanoseconds;
    }
};

class Step {
 public:
    Step(std::string op, std::vector<int> reads, int writes)
        : op_(std::move(op)), reads_(std::move(reads)), writes_(writes) {}
    virtual ~Step() = default;

    virtual void run(const Frame& frame) const = 0;
    // What a run of this frame does.
    virtual Work work(const Frame& frame) const = 0;
    // What `binarynet inspect` shows.
    virtual std::string kernel(const Frame& frame) const = 0;
    virtual size_t scratch_bytes() const { return 0; }
    virtual size_t weight_bytes() const { return 0; }
    // Of the work of a frame, that all threads share.
    double nanoseconds(const Frame& frame) const {
        const Work whole = work(frame);
        const double alone = frame.nanoseconds(whole);
        return frame.worthwhile(whole) ? alone / frame.threads + kRegionNanoseconds : alone;
    }

    const std::string& op() const { return op_; }
    const std::vector<int>& reads() const { return reads_; }
    int writes() const { return writes_; }

 protected:
    void writes(int value) { writes_ = value; }

 private:
    std::string op_;
    std::vector<int> reads_;
    int writes_;
};

}  // namespace binarynet
