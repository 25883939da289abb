// Linear and Conv2d on codes: rows of bits against panels of weights, with what follows fused where it can
// be.
//
//     shape       what is multiplied            planes      the algebra of codes of several bits
//     rows        gathered where they must be   terms       limits and bases of each channel
//     finish      what is fused behind          choose.cpp  which kernel, and how threads share it
//     gathered.cpp   rows gathered a tile at a time, by popcount or tiles
//     tiles.cpp      pixels where they lie, by tiles (implicit)
//     bitsliced      rows side by side, by lists of the weights
//     codes          codes by look-ups
//     vertical       outputs side by side, by lists of the inputs that are set
#pragma once

#include "bitsliced.h"
#include "codes.h"
#include "finish.h"
#include "implicit.h"
#include "kernel.h"
#include "kernels/panels.h"
#include "pieces.h"
#include "rows.h"
#include "terms.h"
#include "vertical.h"

namespace binarynet {

class Matmul final : public Product {
 public:
    Matmul(std::string op, int source, int target, const Shape& shape, PackedWeights weight, int pad_value,
           std::optional<Kernel> forced);

    size_t positions() const override { return shape_.positions(); }
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
    void lay_out_vertical(const Kernels& kernels);
    void lay_out_bitsliced(const Kernels& kernels);
    void find_padding(std::vector<std::vector<bool>>* outside, std::vector<uint32_t>* classes) const;
    // How a run is shared: blocks of rows × splits of channels, each a task.
    struct Cut {
        Kernel kernel;
        size_t blocks = 1, splits = 1;
        Work work = {};
    };

    // choose.cpp
    Cut cut(const Frame& frame) const;  // by the cheaper kernel
    Cut cut(const Frame& frame, Kernel kernel) const;
    Work count(const Frame& frame, const Cut& cut) const;
    Work count_implicit(const Frame& frame) const;

    // Accumulators of implicit rows that something else reads: so many rows and channels at a time.
    static constexpr size_t kFinishedRows = 256, kFinishedChannels = 64;
    // Those of gathered rows: a multiple of 64 and of all panels.
    static constexpr size_t kPartChannels = 256;

    size_t row_bytes() const { return static_cast<size_t>(planes_.rows()) * order_.words() * 8; }
    // Channels of a tile that are finished before the next are begun. With groups, all are made before.
    size_t part_channels() const {
        return shape_.groups == 1 ? std::min(shape_.channels, kPartChannels) : shape_.channels;
    }
    size_t tile_rows() const;
    // Threads that make bits share no word.
    size_t panel_step() const { return std::max<size_t>(4, kWord / lanes_); }
    // Bytes of a row of bits that the kernel writes.
    size_t bytes_written() const {
        return shape_.groups > 1 ? shape_.channels / 8 : panels_[0].padded_channels() / 8;
    }

    // gathered.cpp
    void run_gathered(const Frame& frame, const Cut& cut) const;
    // Rows [first, first + count) of all positions of all images, panels [panel_begin, panel_end) of each
    // group.
    void run_tile(const Frame& frame, Kernel kernel, size_t first, size_t count, size_t panel_begin,
                  size_t panel_end, int slot) const;
    Scratch scratch(const Frame& frame, int slot) const;
    size_t gathered_scratch_bytes() const;
    // Accumulators of the rows × the channels of some panels of a group → acc, `stride` apart.
    void accumulate(const Frame& frame, const Gemm& rows, size_t group, size_t panel_begin, size_t panel_end,
                    const Scratch& scratch, int32_t* acc, size_t stride) const;

    // tiles.cpp
    void run_implicit(const Frame& frame) const;
    void run_block(const Frame& frame, const Implicit::Block& block, size_t panel_begin, size_t panel_end,
                   int slot) const;
    void finish_strips(const Frame& frame, const GemmI32& g, Strips strips, size_t first) const;
    size_t implicit_scratch_bytes() const;

    Shape shape_;
    Outside outside_;
    Rows rows_;
    std::optional<Pieces> pieces_;  // of what popcount reads where it lies
    Planes planes_;
    Finish finish_;
    PackedWeights weight_;  // until seal()
    std::optional<Kernel> forced_;

    std::optional<Implicit> implicit_;
    std::optional<VerticalMatmul> vertical_;
    std::optional<BitslicedMatmul> bitsliced_;
    std::optional<CodesMatmul> codes_;
    Order order_;
    size_t lanes_ = 0;            // of a panel
    std::vector<Panels> panels_;  // (groups, weight planes)
    Terms terms_;
};

}  // namespace binarynet
