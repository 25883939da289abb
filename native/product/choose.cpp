// Which kernel runs a product, and how threads share it: what gathered.cpp and tiles.cpp do, in numbers.
#include <algorithm>
#include <cmath>

#include "matmul.h"

namespace binarynet {

namespace {

double number(size_t n) {
    return static_cast<double>(n);
}

}  // namespace

Matmul::Cut Matmul::cut(const Frame& frame) const {
    if (forced_ == Kernel::vertical) return {Kernel::vertical, 1, 1, vertical_->work(frame, finish_)};
    if (forced_ == Kernel::bitsliced) return {Kernel::bitsliced, 1, 1, bitsliced_->work(frame)};
    if (forced_ == Kernel::lookup) return {Kernel::lookup, 1, 1, codes_->work(frame, finish_)};
    Cut best = implicit_ ? Cut{Kernel::tiles, 1, 1, count_implicit(frame)}
                         : cut(frame, forced_.value_or(Kernel::popcount));
    if (forced_) return best;
    const auto take = [&](const Cut& other) {
        if (frame.nanoseconds(other.work) < frame.nanoseconds(best.work)) best = other;
    };
    if (!implicit_ && order_.words() * kWord <= frame.kernels.tile_depth) take(cut(frame, Kernel::tiles));
    if (bitsliced_) take({Kernel::bitsliced, 1, 1, bitsliced_->work(frame)});
    if (codes_) take({Kernel::lookup, 1, 1, codes_->work(frame, finish_)});
    if (vertical_) take({Kernel::vertical, 1, 1, vertical_->work(frame, finish_)});
    return best;
}

Matmul::Cut Matmul::cut(const Frame& frame, Kernel kernel) const {
    Cut cut{kernel};
    cut.work = count(frame, cut);
    if (!frame.worthwhile(cut.work)) return cut;
    // Blocks of rows first; where there are few rows, also blocks of channels. Four tasks a thread even out.
    const size_t tasks = static_cast<size_t>(frame.threads) * 4, rows = frame.images * positions();
    cut.blocks = std::min(tasks, (rows + 7) / 8);
    if (shape_.groups == 1 && cut.blocks * 2 < tasks) {
        const size_t step = panel_step(), steps = (panels_[0].count() + step - 1) / step;
        cut.splits = std::clamp<size_t>(tasks / cut.blocks, 1, steps);
    }
    cut.work = count(frame, cut);
    return cut;
}

Work Matmul::count(const Frame& frame, const Cut& cut) const {
    const Value& from = shape_.from;
    const size_t rows = frame.images * positions(), block = (rows + cut.blocks - 1) / cut.blocks;
    const size_t tile = pieces_ ? std::min(tile_rows(), positions()) : tile_rows();
    const double tiles = number(cut.blocks * ((block + tile - 1) / tile));
    const double rows_of_tile = number(rows) / tiles;
    const double groups = number(shape_.groups), planes = planes_.rows(), weight_planes = planes_.weights();
    const size_t parts = finish_.compares() || shape_.groups > 1
                             ? 1
                             : (shape_.channels + part_channels() - 1) / part_channels();
    const double calls = tiles * number(std::max(parts, cut.splits)) * groups * weight_planes;
    const double weights = weight_planes * groups * number(panels_[0].bytes()) / 1024;  // KB
    const double sums = number(rows) * number(shape_.channels) * weight_planes;

    Work work(Work::calls, calls);
    work[frame.weights()] = tiles * weights;
    if (cut.kernel == Kernel::tiles) {
        const double strips = std::ceil(rows_of_tile / 32);
        // Below 13 rows of a tile its products wait for each other (native/kernels/amx.cpp).
        const double height = std::max(13.0, std::ceil(rows_of_tile / (2 * strips)));
        work[Work::tile_calls] = calls;
        work[Work::tile_products] = tiles * strips * 2 * height * weights * 8;
        // Weights are expanded for each block of rows, which is as many as are expanded at once.
        const size_t fit = frame.kernels.tile_depth / (order_.words() * kWord);
        work[Work::tile_weights] = tiles * std::ceil(strips / number(std::min<size_t>(8, fit))) * weights;
        work[Work::tile_rows] = calls * rows_of_tile * number(order_.words()) / 16;
    } else {
        work[Work::popcounts] = number(rows) * planes * weights * 8;
    }
    // Tiles store sums between their products.
    work[cut.kernel == Kernel::tiles ? Work::tile_sums
         : finish_.compares()        ? Work::bits
                                     : Work::stored] = sums;
    if (pieces_) {
        work[Work::gathered] = number(frame.images * cut.splits * from.bytes()) / 1024;
    } else if (!rows_.direct()) {
        const double gathers = number(rows * cut.splits) * groups, depth = number(shape_.depth);
        const bool bits = from.store == Value::bits;
        if (!bits) work[Work::digits] = gathers * depth * planes / 1024;
        if (shape_.window) {
            const bool whole = bits && shape_.groups == 1 && from.channels % kWord == 0;
            work[Work::gathered] = gathers * depth / (bits ? 8 : 1) / 1024;
            work[Work::taps] = gathers * number(whole ? shape_.window->kernel_height : shape_.window->taps());
        }
    }
    if (!planes_.plain()) work[Work::combined] = sums;
    finish_.count(work, number(rows) * number(shape_.channels));
    return work;
}

Work Matmul::count_implicit(const Frame& frame) const {
    const double blocks = number(implicit_->block_count(frame.images, 1)),
                 rows = number(frame.images * positions());
    const double weights = number(panels_[0].bytes()) / 1024, channels = number(shape_.channels);
    // Weights are expanded for 512 rows at a time (native/kernels/amx_strips.cpp).
    const double passes = blocks * std::ceil(rows / blocks / 512);
    Work work(Work::tile_calls, finish_.reads() ? passes * std::ceil(channels / kFinishedChannels) : blocks);
    work[frame.weights()] = work[Work::tile_weights] = passes * weights;
    work[Work::tile_products] = rows * weights * 8;
    work[Work::tile_pixels] = number(implicit_->expanded_bytes(frame.images)) / 1024;
    if (!implicit_->whole_words()) work[Work::tile_patches] = rows;
    work[Work::tile_sums] = rows * channels;
    finish_.count(work, rows * channels);
    return work;
}

}  // namespace binarynet
