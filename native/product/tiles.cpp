// Convolutions on a matrix unit whose rows are not gathered (native/product/implicit.h).
#include <cstring>

#include "matmul.h"

namespace binarynet {

size_t Matmul::implicit_scratch_bytes() const {
    return implicit_->scratch_bytes() + round_up(implicit_->block_positions() * 4, kLine) +
           (finish_.reads() ? kFinishedRows * kFinishedChannels * 4 : 0);
}

void Matmul::run_block(const Frame& frame, const Implicit::Block& block, size_t panel_begin, size_t panel_end,
                       int slot) const {
    const size_t width = shape_.window->out_width(), positions = shape_.window->positions();
    const size_t first = block.image * positions + block.row * width, run = block.rows * width;
    uint8_t* scratch = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
    auto* const classes = reinterpret_cast<uint32_t*>(scratch);
    scratch += round_up(implicit_->block_positions() * 4, kLine);
    auto* const acc = reinterpret_cast<int32_t*>(scratch);
    if (finish_.reads()) scratch += kFinishedRows * kFinishedChannels * 4;
    if (terms_.has_classes())
        for (size_t i = 0; i < block.images; ++i)
            terms_.classes_of(block.row * width, run, classes + i * run);

    const Strips strips = implicit_->expand(frame.kernels, frame.at<uint8_t>(reads()[0]), block, scratch);
    Gemm g{};
    g.planes = planes_.rows();
    g.panels = panels_[0].data();
    g.units = panels_[0].units();
    g.classes = terms_.has_classes() ? classes : nullptr;
    g.terms = terms_.of(0, 0);
    g.term_stride = terms_.stride();
    g.panel_begin = panel_begin;
    g.panel_end = panel_end;
    if (finish_.compares()) {
        GemmBits bits{};
        static_cast<Gemm&>(bits) = g;
        bits.flip = terms_.flip(0);
        bits.out_stride = words_for(shape_.channels) * 8;
        bits.out = frame.at<uint8_t>(writes()) + first * bits.out_stride;
        frame.kernels.strips_bits(bits, strips);
        if (panel_end == panels_[0].count())
            finish_.clear_tails(frame, writes(), first, block.images * run, bytes_written());
        return;
    }
    GemmI32 i32{};
    static_cast<Gemm&>(i32) = g;
    i32.shift = planes_.shift();
    i32.channels = shape_.channels;
    if (finish_.reads()) {
        i32.out = acc;
        i32.out_stride = kFinishedChannels;
        finish_strips(frame, i32, strips, first);
        return;
    }
    i32.out = frame.at<int32_t>(writes()) + first * shape_.channels;
    i32.out_stride = shape_.channels;
    frame.kernels.strips_i32(i32, strips);
}

// Accumulators of the strips → what is fused, as many rows and channels at a time as g.out holds. Strip 0
// begins with row `first`.
void Matmul::finish_strips(const Frame& frame, const GemmI32& g, Strips strips, size_t first) const {
    const size_t part_panels = kFinishedChannels / lanes_,
                 panel_bytes = panels_[0].bytes() / panels_[0].count();
    GemmI32 part = g;
    part.panel_begin = 0;
    for (Strip* const end = strips.strips + strips.count; strips.strips < end;
         strips.strips += strips.count) {
        // Rows count from the first of these strips.
        const size_t row = strips.strips->row;
        size_t rows = 0;
        strips.count = 0;
        for (Strip* next = strips.strips; next < end; ++next, ++strips.count) {
            if (next->row + next->count - row > kFinishedRows) break;
            next->row -= row;
            rows = next->row + next->count;
        }
        part.classes = g.classes ? g.classes + row : nullptr;
        for (size_t panel = g.panel_begin; panel < g.panel_end; panel += part_panels) {
            const size_t count = std::min(g.panel_end - panel, part_panels), begin = panel * lanes_;
            part.panels = g.panels + panel * panel_bytes;
            part.panel_end = count;
            part.terms = g.terms + begin;
            part.channels = shape_.channels - begin;
            frame.kernels.strips_i32(part, strips);
            finish_.rows(frame, writes(), first + row, rows, begin,
                         std::min(shape_.channels, begin + count * lanes_), g.out, kFinishedChannels);
        }
    }
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
