// Products of gathered rows, or of the source's own: a tile of rows at a time against the panels.
#include <algorithm>
#include <cstring>

#include "matmul.h"

namespace binarynet {

namespace {

// A tile of rows is used once per panel: under a window it is gathered into L1, without one it may fill L2.
constexpr size_t kWindowTile = 32 << 10, kRowsTile = 256 << 10;

}  // namespace

// Where one slot keeps its tile.
struct Matmul::Scratch {
    uint64_t* rows;
    uint8_t* patch;
    uint32_t* classes;
    int32_t* acc;
    int32_t* part;  // −S of one weight plane
    int64_t* sums;  // per row: e · step · C
};

size_t Matmul::tile_rows() const {
    if (pieces_) return pieces_->tile_rows();
    size_t bytes = row_bytes();
    if (finish_.reads()) bytes += part_channels() * 4;
    if (!planes_.plain()) bytes += part_channels() * 4;
    const size_t rows = (shape_.window && !rows_.direct() ? kWindowTile : kRowsTile) / bytes;
    return std::clamp<size_t>(rows / 8 * 8, 8, 512);
}

size_t Matmul::gathered_scratch_bytes() const {
    const size_t tile = tile_rows();
    size_t bytes = 0;
    if (pieces_)
        bytes += pieces_->scratch_bytes();
    else if (!rows_.direct())
        bytes += round_up(tile * row_bytes(), kLine) + round_up(rows_.patch_bytes(), kLine);
    if (terms_.has_classes()) bytes += round_up(tile * 4, kLine);
    if (finish_.reads()) bytes += round_up(tile * part_channels() * 4, kLine);
    if (!planes_.plain()) bytes += round_up(tile * part_channels() * 4, kLine) + round_up(tile * 8, kLine);
    return bytes;
}

Matmul::Scratch Matmul::scratch(const Frame& frame, int slot) const {
    uint8_t* next = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
    auto take = [&](size_t bytes) { return std::exchange(next, next + round_up(bytes, kLine)); };
    const size_t tile = tile_rows();
    Scratch s{};
    if (pieces_) {
        s.patch = take(pieces_->scratch_bytes());
    } else if (!rows_.direct()) {
        s.rows = reinterpret_cast<uint64_t*>(take(tile * row_bytes()));
        s.patch = take(rows_.patch_bytes());
    }
    if (terms_.has_classes()) s.classes = reinterpret_cast<uint32_t*>(take(tile * 4));
    if (finish_.reads()) s.acc = reinterpret_cast<int32_t*>(take(tile * part_channels() * 4));
    if (!planes_.plain()) {
        s.part = reinterpret_cast<int32_t*>(take(tile * part_channels() * 4));
        s.sums = reinterpret_cast<int64_t*>(take(tile * 8));
    }
    return s;
}

void Matmul::accumulate(const Frame& frame, const Gemm& rows, size_t group, size_t panel_begin,
                        size_t panel_end, const Scratch& s, int32_t* acc, size_t stride) const {
    const size_t per_group = shape_.channels_of_group();
    const size_t first = panel_begin * lanes_, last = std::min(per_group, panel_end * lanes_);
    const auto planes = static_cast<size_t>(planes_.weights());
    GemmI32 g{};
    static_cast<Gemm&>(g) = rows;
    g.panel_begin = 0;
    g.panel_end = panel_end - panel_begin;
    g.channels = last - first;
    const auto call = [&](size_t plane, int32_t* out, size_t out_stride) {
        const Panels& panels = panels_[group * planes + plane];
        g.panels = panels.data() + panel_begin * (panels.bytes() / panels.count());
        g.out = out;
        g.out_stride = out_stride;
        frame.kernels.gemm_i32(g);
    };
    if (planes_.plain()) {
        g.terms = terms_.of(group, first);
        g.term_stride = terms_.stride();
        g.shift = planes_.shift();
        g.stream = !finish_.reads() && frame.images * positions() * shape_.channels * 4 >= kStreamed;
        call(0, acc, stride);
        return;
    }
    g.terms = terms_.zeros();
    g.term_stride = 0;
    const Block block{acc, g.row_count, g.channels, stride};
    if (planes > 1) call(planes - 1, acc, stride);
    for (size_t plane = planes - 1; plane > 1;) {
        call(--plane, s.part, g.channels);
        Planes::add_plane(block, s.part);
    }
    call(0, s.part, g.channels);
    planes_.join(block, s.part, s.sums, [&](size_t r) {
        return terms_.twice_bases(s.classes ? s.classes[r] : 0, group * per_group + first);
    });
}

void Matmul::run_tile(const Frame& frame, Kernel kernel, size_t first, size_t count, size_t panel_begin,
                      size_t panel_end, int slot) const {
    const Scratch s = scratch(frame, slot);
    const size_t channels = shape_.channels, per_group = shape_.channels_of_group();
    const size_t bits_stride = words_for(channels) * 8, acc_stride = part_channels();
    const size_t part_panels = shape_.groups == 1 ? kPartChannels / lanes_ : panels_[0].count();
    if (s.classes) terms_.classes_of(first, count, s.classes);
    for (size_t group = 0; group < shape_.groups; ++group) {
        GemmBits g{};
        if (rows_.direct()) {
            g.rows = frame.at<uint64_t>(reads()[0]) + first * order_.words();
        } else if (pieces_) {
            const size_t image = first / positions(), words = shape_.from.pixels() * shape_.from.row_words();
            pieces_->find(frame.at<uint64_t>(reads()[0]) + image * words, first % positions(), count, s.patch,
                          &g);
        } else {
            rows_.gather(frame.kernels, frame.at<void>(reads()[0]), first, count, group, order_.words(),
                         s.rows, s.patch);
            g.rows = s.rows;
        }
        g.row_count = count;
        g.planes = planes_.rows();
        g.words = order_.words();
        g.row_stride = static_cast<size_t>(g.planes) * g.words;
        g.units = panels_[0].units();
        g.tiles = kernel == Kernel::tiles;
        g.downwards = frame.downwards;
        g.classes = planes_.plain() ? s.classes : nullptr;
        if (finish_.compares()) {
            g.panels = panels_[group].data();
            g.panel_begin = panel_begin;
            g.panel_end = panel_end;
            g.terms = terms_.of(group, 0);
            g.term_stride = terms_.stride();
            g.flip = terms_.flip(group);
            g.out = frame.at<uint8_t>(writes()) + first * bits_stride + group * per_group / 8;
            g.out_stride = bits_stride;
            frame.kernels.gemm_bits(g);
            continue;
        }
        if (!planes_.plain()) planes_.sum_codes(g, s.sums);
        if (!finish_.reads()) {
            int32_t* out = frame.at<int32_t>(writes()) + first * channels + group * per_group;
            // Each call makes tiles of the rows anew, so it takes all channels unless a part must wait for
            // others.
            const size_t step = planes_.plain() ? panels_[0].count() : part_panels;
            for (size_t panel = panel_begin; panel < panel_end; panel += step)
                accumulate(frame, g, group, panel, std::min(panel_end, panel + step), s, out + panel * lanes_,
                           channels);
        } else if (shape_.groups > 1) {
            accumulate(frame, g, group, panel_begin, panel_end, s, s.acc + group * per_group, acc_stride);
        } else {
            for (size_t panel = panel_begin; panel < panel_end; panel += part_panels) {
                const size_t end = std::min(panel_end, panel + part_panels);
                accumulate(frame, g, 0, panel, end, s, s.acc, acc_stride);
                finish_.rows(frame, writes(), first, count, panel * lanes_, std::min(channels, end * lanes_),
                             s.acc, acc_stride);
            }
        }
    }
    if (finish_.reads() && shape_.groups > 1)
        finish_.rows(frame, writes(), first, count, 0, channels, s.acc, acc_stride);
    if (finish_.compares() && panel_end == panels_[0].count())
        finish_.clear_tails(frame, writes(), first, count, bytes_written());
}

void Matmul::run_gathered(const Frame& frame, const Cut& how) const {
    const size_t rows = frame.images * positions(), panels = panels_[0].count(), tile = tile_rows();
    const size_t step = panel_step();
    parallel_for(how.blocks * how.splits, frame.threads, [&](size_t task, int slot) {
        const size_t block = task / how.splits, split = task % how.splits;
        const size_t quads = (rows + 3) / 4, panel_steps = (panels + step - 1) / step;
        const size_t end = std::min(rows, quads * (block + 1) / how.blocks * 4);
        const size_t panel_begin = panel_steps * split / how.splits * step;
        const size_t panel_end = std::min(panels, panel_steps * (split + 1) / how.splits * step);
        for (size_t first = quads * block / how.blocks * 4, count = 0; first < end; first += count) {
            count = std::min(tile, end - first);
            if (pieces_) count = std::min(count, positions() - first % positions());  // of one image
            run_tile(frame, how.kernel, first, count, panel_begin, panel_end, slot);
        }
    });
}

}  // namespace binarynet
