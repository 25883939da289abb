#include "codes.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace binarynet {

namespace {

// Rows of a tile: gathered codes, or accumulators that something else reads, stay in L1 or L2.
constexpr size_t kGathered = 32 << 10, kRead = 128 << 10, kMostRows = 256;

}  // namespace

bool CodesMatmul::takes(const Shape& shape, const Planes& planes) {
    // All sums over codes fit 31 bits, doubled.
    return shape.from.store == Value::codes && planes.plain() && shape.groups == 1 &&
           shape.depth <= size_t{1} << 22;
}

std::optional<CodesMatmul> CodesMatmul::plan(const Shape& shape, const Planes& planes,
                                             const Kernels& kernels) {
    if (!kernels.lookup.channels || !takes(shape, planes)) return std::nullopt;
    return CodesMatmul(shape, planes, kernels.lookup);
}

CodesMatmul::CodesMatmul(const Shape& shape, const Planes& planes, const LookupShape& lookup)
    : shape_(shape), lookup_(lookup), largest_(shape.from.code.largest()), shift_(planes.shift()) {}

// d = largest · popcount(w) − S: a limit of S becomes one of d, and so does what accumulators begin with.
void CodesMatmul::seal(const PackedWeights& weight, const Terms& terms, const Finish& finish) {
    panels_ = Buffer(checked_product(panels() * units(), lookup_.unit_bytes()));
    terms_.assign(terms.classes() * padded(), finish.compares() ? INT32_MAX : 0);
    flip_.assign(padded() / 8, 0);
    const bool narrow = finish.compares() && units() * lookup_.values <= kShortLookup;
    if (narrow) short_limits_.assign(terms.classes() * 2 * padded(), INT16_MAX);
    const size_t lanes = lookup_.lane * lookup_.channels;
    for (size_t c = 0; c < shape_.channels; ++c) {
        const uint64_t* row = weight.row(0, c, shape_.depth);
        uint8_t* unit = panels_.as<uint8_t>() + c / lookup_.channels * units() * lookup_.unit_bytes() +
                        c % lookup_.channels * lookup_.lane;
        for (size_t k = 0; k < units(); ++k, unit += lookup_.unit_bytes()) {
            const size_t first = k * lookup_.values;
            const uint64_t bits = read_bits(row, first, std::min(lookup_.values, shape_.depth - first));
            for (size_t b = 0; 8 * b < lookup_.values; ++b)
                unit[b / lookup_.lane * lanes + b % lookup_.lane] = static_cast<uint8_t>(bits >> 8 * b);
        }
        const auto all = static_cast<int64_t>(popcount(row, 0, shape_.depth)) * largest_;
        for (size_t k = 0; k < terms.classes(); ++k) {
            const int64_t term = terms.of(0, c)[k * terms.stride()];
            const int64_t turned = finish.compares() ? all - term : term - (all << shift_);
            terms_[k * padded() + c] = static_cast<int32_t>(static_cast<uint32_t>(turned));
            // 2 (s − ⌊all / 2⌋) ≥ t + (all odd); the left side is within ±2¹⁵.
            for (int odd = 0; odd < 2 && narrow; ++odd)
                short_limits_[(2 * k + static_cast<size_t>(odd)) * padded() + c] =
                    static_cast<int16_t>(std::clamp<int64_t>((turned + odd + 1) >> 1, INT16_MIN, INT16_MAX));
        }
        if (finish.compares() && !finish.threshold().rising[c])
            flip_[c / 8] = static_cast<uint8_t>(flip_[c / 8] | 1 << c % 8);
    }
}

size_t CodesMatmul::tile_rows() const {
    size_t rows = kMostRows;
    if (!direct()) rows = std::min(rows, kGathered / shape_.depth);
    return std::max<size_t>(kLookupRows, rows / kLookupRows * kLookupRows);
}

size_t CodesMatmul::scratch_bytes(const Finish& finish) const {
    size_t bytes = round_up(kLookupRows * units() * lookup_.table, kLine);
    if (!direct()) bytes += round_up(tile_rows() * shape_.depth + Rows::kShort, kLine);
    bytes += round_up(tile_rows() * 4, kLine);
    return bytes + (finish.reads() ? kRead + kLookupRows * kWord * 4 : 0);
}

std::string CodesMatmul::text() const {
    std::string text = "lookup, codes";
    if (shape_.window) text += direct() ? ", 1×1 in place" : ", gathered codes";
    return text;
}

Work CodesMatmul::work(const Frame& frame, const Finish& finish) const {
    const auto number = [](size_t n) { return static_cast<double>(n); };
    const double rows = number(frame.images * shape_.positions()), depth = number(shape_.depth);
    const double values = number(units() * lookup_.values), sums = rows * number(shape_.channels);
    Work work(Work::calls, std::ceil(rows / number(tile_rows())));
    work[Work::code_lookups] = rows * values * number(padded()) / 1024;
    work[Work::code_tables] = rows * values / 1024;
    work[Work::code_rows] = rows;
    work[frame.weights()] = std::ceil(rows / number(kLookupRows)) * number(panels_.bytes()) / 1024 / 8;
    work[finish.compares() ? Work::bits : Work::stored] = sums;
    if (!direct()) {
        work[Work::gathered] = rows * depth / 1024;
        const Window& w = *shape_.window;  // lines of a window are copied at once
        work[Work::taps] = rows * number(w.dilation_x == 1 ? w.kernel_height : w.taps());
    }
    finish.count(work, sums);
    return work;
}

void CodesMatmul::run_tile(const Frame& frame, int source, int target, const Rows& rows, const Terms& terms,
                           const Finish& finish, size_t first, size_t count, size_t panel_begin,
                           size_t panel_end, int slot) const {
    uint8_t* next = frame.scratch + static_cast<size_t>(slot) * frame.scratch_bytes;
    const auto take = [&](size_t bytes) { return std::exchange(next, next + round_up(bytes, kLine)); };
    Lookup g{};
    g.tables = take(kLookupRows * units() * lookup_.table);
    auto* const classes = reinterpret_cast<uint32_t*>(take(tile_rows() * 4));
    g.row_count = count;
    g.row_stride = g.depth = shape_.depth;
    if (direct()) {
        g.rows = frame.at<uint8_t>(source) + first * shape_.depth;
    } else {
        uint8_t* const gathered = take(tile_rows() * shape_.depth + Rows::kShort);
        rows.gather_codes(frame.at<uint8_t>(source), first, count, gathered);
        g.rows = gathered;
    }
    g.panels = panels_.as<uint8_t>();
    g.units = units();
    g.panel_begin = panel_begin;
    g.panel_end = panel_end;
    g.term_stride = padded();
    g.terms = terms_.data();
    if (terms.has_classes()) {
        terms.classes_of(first, count, classes);
        g.classes = classes;
    }
    if (finish.compares()) {
        LookupBits bits{};
        static_cast<Lookup&>(bits) = g;
        bits.flip = flip_.data();
        bits.short_limits = short_limits_.empty() ? nullptr : short_limits_.data();
        bits.out_stride = words_for(shape_.channels) * 8;
        bits.out = frame.at<uint8_t>(target) + first * bits.out_stride;
        frame.kernels.lookup_bits(bits);
        if (panel_end == panels()) finish.clear_tails(frame, target, first, count, padded() / 8);
        return;
    }
    LookupI32 i32{};
    static_cast<Lookup&>(i32) = g;
    i32.shift = shift_;
    i32.channels = shape_.channels;
    if (!finish.reads()) {
        i32.out = frame.at<int32_t>(target) + first * shape_.channels;
        i32.out_stride = shape_.channels;
        frame.kernels.lookup_i32(i32);
        return;
    }
    // As many channels as there is room for; each part makes the tables of its rows again.
    auto* const acc = reinterpret_cast<int32_t*>(next);
    const size_t room = std::max<size_t>(kRead / 4 / count, kWord) / kWord * kWord / lookup_.channels;
    for (size_t panel = panel_begin; panel < panel_end; panel += room) {
        const size_t end = std::min(panel_end, panel + room), begin = panel * lookup_.channels;
        const size_t last = std::min(shape_.channels, end * lookup_.channels);
        i32.panel_begin = panel;
        i32.panel_end = end;
        i32.out = acc - begin;  // the kernel writes channel `begin` first
        i32.out_stride = last - begin;
        frame.kernels.lookup_i32(i32);
        finish.rows(frame, target, first, count, begin, last, acc, last - begin);
    }
}

void CodesMatmul::run(const Frame& frame, int source, int target, const Rows& rows, const Terms& terms,
                      const Finish& finish) const {
    const size_t count = frame.images * shape_.positions(), tile = tile_rows();
    const bool shared = frame.worthwhile(work(frame, finish));
    const size_t tasks = shared ? static_cast<size_t>(frame.threads) * 4 : 1;
    const size_t quads = (count + kLookupRows - 1) / kLookupRows, steps = (panels() + step() - 1) / step();
    const size_t blocks = std::min(tasks, quads);
    const size_t splits = std::clamp<size_t>(tasks / blocks, 1, steps);
    parallel_for(blocks * splits, shared ? frame.threads : 1, [&](size_t task, int slot) {
        const size_t block = task / splits, split = task % splits;
        const size_t panel_begin = steps * split / splits * step();
        const size_t panel_end = std::min(panels(), steps * (split + 1) / splits * step());
        const size_t end = std::min(count, quads * (block + 1) / blocks * kLookupRows);
        for (size_t first = quads * block / blocks * kLookupRows; first < end; first += tile)
            run_tile(frame, source, target, rows, terms, finish, first, std::min(tile, end - first),
                     panel_begin, panel_end, slot);
    });
}

}  // namespace binarynet
