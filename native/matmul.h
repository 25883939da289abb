// Linear and Conv2d on codes: rows of bits against panels of weights, with what follows fused where it can
// be.
//
// With x = low + step · c and w = low' + step' · k, both codes in planes of bits, and d = 2 · bit − 1 for the
// bits of w, 2 w = step' · Σ_j 2^j d_j + e where e = 2 low' + step' · (2^J − 1): 0 for bipolar weights, 1 for
// ternary, −1 for signed, 2^J − 1 for unsigned ones. So of a dot product with J weight planes,
//
//     2 acc = base2 + e · step · C − step · step' · Σ_j 2^j S_j         S_j as in kernels.h, C = Σ codes of x
//
// where base2 depends on the channel and on which taps lie outside, and C on the row only. For b1 weights,
// J = 1 and e = 0, and this is the acc = base − (S << shift) of one kernel call.
#pragma once

#include <optional>

#include "implicit.h"
#include "panels.h"
#include "steps.h"

namespace binarynet {

class Matmul final : public Product {
 public:
    // The depth of the weights runs over (kernel row, kernel column, channel in group). A Linear is a window
    // of one tap that sees the whole value as one pixel, and has no window.
    Matmul(std::string op, int source, int target, const Value& from, PackedWeights weight,
           std::optional<Window> window, size_t groups, int pad_value, std::optional<Kernel> forced);

    size_t positions() const override { return window_ ? window_->positions() : 1; }
    bool fuse(const ThresholdStep& step, const Kernels& kernels) override;
    bool fuse(const AffineStep& step) override;
    void seal(const Kernels& kernels) override;

    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override { return cut(frame).work; }
    std::string kernel(const Frame& frame) const override;
    size_t scratch_bytes() const override;
    size_t weight_bytes() const override;

 private:
    struct Scratch;
    // How a run is shared: blocks of rows × splits of channels, each a task.
    struct Cut {
        Kernel kernel;
        size_t blocks = 1, splits = 1;
        Work work = {};
    };

    Cut cut(const Frame& frame) const;  // by the cheaper kernel
    Cut cut(const Frame& frame, Kernel kernel) const;
    Work count(const Frame& frame, const Cut& cut) const;
    // Accumulators of implicit rows that something else reads: so many rows and channels at a time.
    static constexpr size_t kFinishedRows = 256, kFinishedChannels = 64;

    bool direct() const;                                               // rows are the source's own memory
    bool plain() const { return weight_planes_ == 1 && extra_ == 0; }  // one kernel call makes accumulators
    bool finishes() const { return affine_ || (thresholds_ && !compares_); }
    size_t row_bytes() const { return static_cast<size_t>(planes_) * words_ * 8; }
    // Channels of a tile that are finished before the next are begun.
    size_t part_channels() const;
    size_t tile_rows() const;
    // Threads that make bits share no word.
    size_t panel_step() const { return std::max<size_t>(4, kWord / lanes_); }
    Scratch scratch(const Frame& frame, int slot) const;
    // Words of the weights in which each pixel, or each tap, has its own tail; 0: none has.
    size_t tail_words() const;

    std::vector<uint64_t> weights_as_rows(size_t plane) const;
    int64_t twice_base(size_t channel, const std::vector<bool>& outside) const;
    void make_terms(const std::vector<std::vector<bool>>& outside, size_t padded);

    void gather(const Frame& frame, size_t first, size_t count, size_t group, const Scratch& scratch) const;
    void gather_bits(const uint64_t* image, size_t oy, size_t ox, size_t group, uint64_t* row) const;
    void gather_codes(const uint8_t* image, size_t oy, size_t ox, size_t group, uint8_t* patch) const;
    // e · step · C of the rows.
    void sum_codes(const Gemm& rows, int64_t* sums) const;
    // Accumulators of the rows × the channels of some panels of a group → acc, `stride` apart.
    void accumulate(const Frame& frame, const Gemm& rows, size_t group, size_t panel_begin, size_t panel_end,
                    const Scratch& scratch, int32_t* acc, size_t stride) const;
    // Channels [begin, end) of accumulators → what is fused.
    void finish(const Frame& frame, size_t first, size_t count, size_t begin, size_t end, const int32_t* acc,
                size_t stride) const;
    // Rows [first, first + count) of all positions of all images, panels [panel_begin, panel_end) of each
    // group.
    void run_tile(const Frame& frame, Kernel kernel, size_t first, size_t count, size_t panel_begin,
                  size_t panel_end, int slot) const;

    // Instead of tiles of gathered rows.
    void run_implicit(const Frame& frame) const;
    Work count_implicit(const Frame& frame) const;
    void run_block(const Frame& frame, const Implicit::Block& block, size_t panel_begin, size_t panel_end,
                   int slot) const;
    // Bytes of the last word of rows of bits that no panel covers.
    void clear_tails(const Frame& frame, size_t first, size_t count) const;

    Value from_;
    PackedWeights weight_;  // until seal()
    size_t channels_, groups_, depth_;
    std::optional<Window> window_;
    std::optional<Kernel> forced_;
    int planes_, weight_planes_;
    int32_t step_, weight_step_, extra_;  // extra: e above
    bool correct_padding_ = false;        // the number 0 stands outside and is no code: classes
    uint8_t pad_code_ = 0;

    std::optional<Implicit> implicit_;
    size_t words_ = 0;               // of a plane of a row
    size_t lanes_ = 0;               // of a panel
    std::vector<Panels> panels_;     // (groups, weight planes)
    std::vector<uint32_t> classes_;  // (positions), empty if there is one class
    std::vector<int32_t> terms_;  // (classes, groups · padded channels): limits or bases; zeros if not plain
    std::vector<int64_t> bases_;  // (classes, channels): 2 · base, if not plain
    std::vector<uint8_t> flip_;

    std::optional<Thresholds> thresholds_;
    std::optional<AffineTable> affine_;
    bool compares_ = false;  // the kernel itself; else it makes accumulators, and what is fused reads those
};

}  // namespace binarynet
