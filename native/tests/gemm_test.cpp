// The products of bits of every instruction set of this CPU against a loop over single bits, at the edges:
// depth around words and vectors, one past a panel, one past a block of rows, every number of planes, panels
// in part, limits at the ends.
#include <algorithm>
#include <cstring>

#include "base/memory.h"
#include "kernels/dispatch.h"
#include "kernels/panels.h"
#include "numbers.h"
#include "random.h"

using namespace binarynet;

namespace {

struct Problem {
    size_t rows, channels, depth;
    int planes;
    size_t classes;
    int shift;
    bool wide_stride;       // rows further apart than they are long
    bool opposite = false;  // every bit differs, so that narrow sums are as large as they can be
};

void test_gemm(const Kernels& k, const Problem& p, bool tiles) {
    char where[160];
    std::snprintf(where, sizeof where, "%s rows %zu channels %zu depth %zu planes %d classes %zu shift %d",
                  k.name, p.rows, p.channels, p.depth, p.planes, p.classes, p.shift);
    const size_t words = words_for(p.depth), planes = static_cast<size_t>(p.planes);
    const size_t stride = planes * words + (p.wide_stride ? 3 : 0);
    std::vector<uint64_t> rows(p.rows * stride, 0x5a5a5a5a5a5a5a5a);
    for (size_t r = 0; r < p.rows; ++r) {
        auto row = packed_rows(planes, p.depth);
        for (size_t i = 0; p.opposite && i < row.size(); ++i)
            row[i] = low_bits(std::min(kWord, p.depth - i % words * kWord));
        std::copy(row.begin(), row.end(), rows.begin() + static_cast<ptrdiff_t>(r * stride));
    }
    auto weights = packed_rows(p.channels, p.depth);
    if (p.opposite) std::fill(weights.begin(), weights.end(), uint64_t{0});
    const Panels panels(k.panel, weights.data(), p.channels, words, p.depth);
    const size_t padded = panels.padded_channels();
    SAME(reinterpret_cast<uintptr_t>(panels.data()) % 64 == 0, "%s", where);

    std::vector<uint32_t> sums(p.rows * p.channels);
    for (size_t r = 0; r < p.rows; ++r)
        for (size_t c = 0; c < p.channels; ++c)
            for (size_t n = 0; n < planes; ++n)
                for (size_t i = 0; i < p.depth; ++i)
                    sums[r * p.channels + c] +=
                        uint32_t(bit(&rows[r * stride + n * words], i) != bit(&weights[c * words], i)) << n;

    std::vector<uint32_t> classes(p.rows);
    for (auto& c : classes) c = static_cast<uint32_t>(generator() % p.classes);
    std::vector<int32_t> limits(p.classes * (padded + 5), -1), bases(limits.size());
    std::vector<uint8_t> flip(padded / 8);
    const int64_t middle = int64_t((1 << p.planes) - 1) * static_cast<int64_t>(p.depth) / 2;
    for (size_t i = 0; i < limits.size(); ++i) {
        bases[i] = static_cast<int32_t>(generator());
        if (i % (padded + 5) >= p.channels) continue;
        const int64_t spread[] = {-1,
                                  0,
                                  INT32_MAX,
                                  middle,
                                  middle + static_cast<int64_t>(generator() % 9) - 4,
                                  static_cast<int64_t>(sums[generator() % sums.size()])};
        limits[i] = static_cast<int32_t>(spread[generator() % 6]);
    }
    for (size_t c = 0; c < p.channels; ++c) flip[c / 8] = uint8_t(flip[c / 8] | (generator() & 1) << c % 8);

    Gemm g{};
    g.rows = rows.data();
    g.row_count = p.rows;
    g.row_stride = stride;
    g.words = words;
    g.planes = p.planes;
    g.panels = panels.data();
    g.units = panels.units();
    g.classes = p.classes > 1 ? classes.data() : nullptr;
    g.tiles = tiles;
    g.term_stride = padded + 5;
    if (p.classes == 1) std::fill(classes.begin(), classes.end(), 0u);

    // Panels in two calls that meet in the middle; what no call covers keeps its mark.
    const size_t cut = panels.count() / 2, bits_stride = padded / 8 + 3;
    std::vector<uint8_t> bits(p.rows * bits_stride, 0xab);
    // Sums twice: close together, and in whole lines of the cache, which they may pass.
    const size_t acc_strides[] = {p.channels + 2, round_up(p.channels + 2, 16)};
    Buffer accs[] = {Buffer(p.rows * acc_strides[0] * 4), Buffer(p.rows * acc_strides[1] * 4)};
    for (Buffer& acc : accs) std::fill_n(acc.as<int32_t>(), acc.bytes() / 4, 0x7eadbeef);
    for (size_t half = 0; half < 2; ++half) {
        GemmBits b{};
        static_cast<Gemm&>(b) = g;
        b.panel_begin = half ? cut : 0;
        b.panel_end = half ? panels.count() : cut;
        b.terms = limits.data();
        b.downwards = half;
        b.flip = flip.data();
        b.out = bits.data();
        b.out_stride = bits_stride;
        k.gemm_bits(b);
        GemmI32 a{};
        static_cast<Gemm&>(a) = b;
        a.terms = bases.data();
        a.shift = p.shift;
        a.channels = p.channels;
        for (size_t i = 0; i < 2; ++i) {
            a.out = accs[i].as<int32_t>();
            a.out_stride = acc_strides[i];
            a.stream = i == 1;
            k.gemm_i32(a);
        }
    }
    for (size_t r = 0; r < p.rows; ++r) {
        for (size_t c = 0; c < bits_stride * 8; ++c) {
            const bool got = bits[r * bits_stride + c / 8] >> c % 8 & 1;
            bool want = 0xab >> c % 8 & 1;
            if (c < p.channels)
                want = (static_cast<int32_t>(sums[r * p.channels + c]) <=
                        limits[classes[r] * g.term_stride + c]) != bool(flip[c / 8] >> c % 8 & 1);
            else if (c < padded)
                want = false;  // the tail
            SAME(got == want, "%s row %zu bit %zu", where, r, c);
        }
        for (size_t i = 0; i < 2; ++i) {
            for (size_t c = 0; c < acc_strides[i]; ++c) {
                int32_t want = 0x7eadbeef;
                if (c < p.channels)
                    want = static_cast<int32_t>(static_cast<uint32_t>(bases[classes[r] * g.term_stride + c]) -
                                                (sums[r * p.channels + c] << p.shift));
                SAME(accs[i].as<int32_t>()[r * acc_strides[i] + c] == want, "%s row %zu acc %zu", where, r,
                     c);
            }
        }
    }
}

// By popcount, and on the matrix unit where there is one and the rows are not too long for it.
void test_gemm(const Kernels& k, const Problem& p) {
    test_gemm(k, p, false);
    if (words_for(p.depth) * kWord <= k.tile_depth) test_gemm(k, p, true);
}

}  // namespace

TEST_CASE("products of bits") {
    for (const Kernels* k : available_kernels()) {
        const long before = compared;
        for (size_t depth : {1, 31, 32, 33, 63, 64, 65, 127, 128, 247, 248, 249, 784, 2000})
            for (size_t channels : {1, 8, 15, 17, 33, 130})
                for (size_t rows : {1, 5}) test_gemm(*k, {rows, channels, depth, 1, 1, 1, depth % 2 == 0});
        for (size_t rows : {1, 2, 3, 4, 6, 7, 8, 15, 16, 17, 33, 35})
            test_gemm(*k, {rows, 65, 100, 1, 3, 1, false});
        for (size_t channels : {7, 16, 31, 32, 47, 48, 63, 64, 65, 95, 96, 97, 127, 129, 160, 161, 200, 257})
            test_gemm(*k, {7, channels, 70, 1, 2, 0, true});
        for (int planes = 1; planes <= 8; ++planes)
            for (size_t depth : {1, 27, 65, 300}) test_gemm(*k, {5, 20, depth, planes, 2, planes % 2, false});
        // Enough rows and channels for a matrix unit, one past its tiles and blocks in each direction.
        for (size_t depth : {65, 832, 833, 4607}) test_gemm(*k, {70, 273, depth, 1, 3, 1, true});
        test_gemm(*k, {257, 290, 1700, 1, 1, 0, false});
        for (size_t depth : {1, 63, 64, 65, 831})
            for (int planes : {2, 5, 8}) test_gemm(*k, {49, 72, depth, planes, 2, planes % 2, true});
        // Every number of rows in the last block of a kernel that turns planes into bytes.
        for (size_t rows : {2, 3, 4, 8, 9, 12, 13, 15})
            for (size_t depth : {31, 100}) test_gemm(*k, {rows, 200, depth, 8, 2, 1, true});
        test_gemm(*k, {11, 129, 16400, 8, 1, 0, false});  // longer than the rows of such a block
        test_gemm(*k, {3, 33, 70001, 1, 1, 1, false});    // past every place where narrow sums are carried on
        test_gemm(*k, {2, 3, 66000, 8, 1, 1, false});
        for (size_t rows : {1, 4, 33}) {
            test_gemm(*k, {rows, 65, 2000, 1, 1, 1, false, true});
            test_gemm(*k, {rows, 65, 70, 8, 1, 1, false, true});
        }
        test_gemm(*k, {1, 33, 70001, 1, 1, 1, false, true});
        report(k->name, compared - before);
    }
}
