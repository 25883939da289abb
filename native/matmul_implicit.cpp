// Convolutions whose rows are not gathered (native/implicit.h).
#include <cmath>
#include <cstring>

#include "matmul.h"

namespace binarynet {

void Matmul::run_block(const Frame& frame, const Implicit::Block& block, size_t panel_begin, size_t panel_end,
                       int slot) const {
    const size_t width = window_->out_width(), positions = window_->positions();
    const size_t first = block.image * positions + block.row * width, run = block.rows * width;
    uint8_t* scratch = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
    auto* const classes = reinterpret_cast<uint32_t*>(scratch);
    scratch += round_up(implicit_->block_positions() * 4, 64);
    auto* const acc = reinterpret_cast<int32_t*>(scratch);
    if (finishes()) scratch += kFinishedRows * kFinishedChannels * 4;
    if (!classes_.empty())
        for (size_t i = 0; i < block.images; ++i)
            std::memcpy(classes + i * run, &classes_[block.row * width], run * 4);

    Strips strips = implicit_->expand(frame.kernels, frame.at<uint8_t>(reads()[0]), block, scratch);
    Gemm g{};
    g.planes = planes_;
    g.panels = panels_[0].data();
    g.units = panels_[0].units();
    g.classes = classes_.empty() ? nullptr : classes;
    g.terms = terms_.data();
    g.term_stride = panels_[0].padded_channels();
    g.panel_begin = panel_begin;
    g.panel_end = panel_end;
    if (compares_) {
        GemmBits bits{};
        static_cast<Gemm&>(bits) = g;
        bits.flip = flip_.data();
        bits.out_stride = words_for(channels_) * 8;
        bits.out = frame.at<uint8_t>(writes()) + first * bits.out_stride;
        frame.kernels.strips_bits(bits, strips);
        if (panel_end == panels_[0].count()) clear_tails(frame, first, block.images * run);
        return;
    }
    GemmI32 i32{};
    static_cast<Gemm&>(i32) = g;
    i32.shift = step_ - 1;
    i32.channels = channels_;
    if (!finishes()) {
        i32.out = frame.at<int32_t>(writes()) + first * channels_;
        i32.out_stride = channels_;
        frame.kernels.strips_i32(i32, strips);
        return;
    }
    const size_t part_panels = kFinishedChannels / lanes_,
                 panel_bytes = panels_[0].bytes() / panels_[0].count();
    i32.out = acc;
    i32.out_stride = kFinishedChannels;
    i32.panel_begin = 0;
    for (Strip* const end = strips.strips + strips.count; strips.strips < end;
         strips.strips += strips.count) {
        // As many strips as the accumulators hold; their rows count from the first.
        const size_t row = strips.strips->row;
        size_t rows = 0;
        strips.count = 0;
        for (Strip* next = strips.strips; next < end; ++next, ++strips.count) {
            if (next->row + next->count - row > kFinishedRows) break;
            next->row -= row;
            rows = next->row + next->count;
        }
        i32.classes = g.classes ? g.classes + row : nullptr;
        for (size_t panel = panel_begin; panel < panel_end; panel += part_panels) {
            const size_t part = std::min(panel_end - panel, part_panels), begin = panel * lanes_;
            i32.panels = g.panels + panel * panel_bytes;
            i32.panel_end = part;
            i32.terms = g.terms + begin;
            i32.channels = channels_ - begin;
            frame.kernels.strips_i32(i32, strips);
            finish(frame, first + row, rows, begin, std::min(channels_, begin + part * lanes_), acc,
                   kFinishedChannels);
        }
    }
}

Work Matmul::count_implicit(const Frame& frame) const {
    const double blocks = double(implicit_->block_count(frame.images, 1)),
                 rows = double(frame.images * positions());
    const double weights = double(panels_[0].bytes()) / 1024, sums = rows * double(channels_);
    // Weights are expanded for 512 rows at a time (native/kernels/amx_strips.cpp).
    const double passes = blocks * std::ceil(rows / blocks / 512);
    Work work(Work::tile_calls,
              finishes() ? passes * std::ceil(double(channels_) / kFinishedChannels) : blocks);
    work[frame.weights()] = work[Work::tile_weights] = passes * weights;
    work[Work::tile_products] = rows * weights * 8;
    work[Work::tile_pixels] = double(implicit_->expanded_bytes(frame.images)) / 1024;
    work[compares_ ? Work::bits : Work::stored] = sums;
    if (finishes()) work[Work::finished] = sums * (thresholds_ ? double(thresholds_->levels()) : 1);
    return work;
}

void Matmul::run_implicit(const Frame& frame) const {
    const size_t panels = panels_[0].count();
    const size_t wanted = frame.worthwhile(count_implicit(frame)) ? static_cast<size_t>(frame.threads) : 1;
    // Positions first; where there are few of them, channels. Threads that make bits share no word.
    const size_t blocks = implicit_->block_count(frame.images, wanted), step = kWord / lanes_;
    const size_t steps = (panels + step - 1) / step;
    const size_t splits = std::clamp<size_t>((wanted + blocks - 1) / blocks, 1, steps);
    parallel_for(blocks * splits, frame.threads, [&](size_t task, int slot) {
        const size_t split = task % splits;
        run_block(frame, implicit_->block(task / splits, frame.images, wanted), steps * split / splits * step,
                  std::min(panels, steps * (split + 1) / splits * step), slot);
    });
}

}  // namespace binarynet
