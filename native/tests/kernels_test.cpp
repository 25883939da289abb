// Every kernel of every instruction set of this CPU against a loop over single bits, at the edges: depth
// around words and vectors, one past a panel, one past a block of rows, every number of planes, panels in
// part, limits at the ends.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "bits.h"
#include "check.h"
#include "dispatch.h"
#include "panels.h"

using namespace binarynet;

namespace {

std::mt19937_64 generator(1);

std::vector<uint64_t> packed_rows(size_t rows, size_t depth) {
    const size_t words = words_for(depth);
    std::vector<uint64_t> data(rows * words);
    for (size_t i = 0; i < data.size(); ++i) {
        data[i] = generator();
        if (i % words == words - 1) data[i] &= low_bits(depth - (words - 1) * kWord);
    }
    return data;
}

bool bit(const uint64_t* row, size_t i) {
    return row[i / kWord] >> i % kWord & 1;
}

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
    CHECK(reinterpret_cast<uintptr_t>(panels.data()) % 64 == 0, "%s", where);

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
            CHECK(got == want, "%s row %zu bit %zu", where, r, c);
        }
        for (size_t i = 0; i < 2; ++i) {
            for (size_t c = 0; c < acc_strides[i]; ++c) {
                int32_t want = 0x7eadbeef;
                if (c < p.channels)
                    want = static_cast<int32_t>(static_cast<uint32_t>(bases[classes[r] * g.term_stride + c]) -
                                                (sums[r * p.channels + c] << p.shift));
                CHECK(accs[i].as<int32_t>()[r * acc_strides[i] + c] == want, "%s row %zu acc %zu", where, r,
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

void test_split(const Kernels& k, size_t count, int planes) {
    std::vector<uint8_t> codes(count);
    for (auto& code : codes) code = static_cast<uint8_t>(generator() & ((1u << planes) - 1));
    const size_t words = words_for(count);
    std::vector<uint64_t> out(words * static_cast<size_t>(planes), ~uint64_t{0});
    k.split(codes.data(), count, planes, out.data(), words);
    for (int n = 0; n < planes; ++n)
        for (size_t i = 0; i < words * kWord; ++i)
            CHECK(bit(&out[static_cast<size_t>(n) * words], i) == (i < count && (codes[i] >> n & 1)),
                  "%s count %zu plane %d bit %zu", k.name, count, n, i);
}

template <typename T>
void test_threshold(const Kernels& k, size_t channels, const std::vector<T>& special) {
    const size_t words = words_for(channels);
    std::vector<T> x(channels), t(channels);
    std::vector<uint64_t> flip(words), out(words, ~uint64_t{0});
    for (size_t c = 0; c < channels; ++c) {
        x[c] = special[generator() % special.size()];
        t[c] = generator() % 3 ? special[generator() % special.size()] : x[c];
        flip[c / kWord] |= (generator() & 1) << c % kWord;
    }
    if constexpr (std::is_same_v<T, float>)
        k.threshold_f32(x.data(), t.data(), flip.data(), channels, out.data());
    else
        k.threshold_i32(x.data(), t.data(), flip.data(), channels, out.data());
    for (size_t c = 0; c < words * kWord; ++c) {
        const bool want = c < channels && (x[c] >= t[c]) != bit(flip.data(), c);
        CHECK(bit(out.data(), c) == want, "%s channels %zu channel %zu", k.name, channels, c);
    }
}

// Whole numbers, whose float32 sums are exact in every order.
std::vector<float> whole_numbers(size_t count, int largest) {
    std::vector<float> numbers(count);
    for (auto& x : numbers)
        x = static_cast<float>(static_cast<int>(generator() % (2u * static_cast<unsigned>(largest) + 1)) -
                               largest);
    return numbers;
}

// Two calls that meet in the middle; what no call covers keeps its mark.
template <class Args, class Call>
void test_real_product(Args g, const char* where, size_t rows, size_t channels, size_t panels,
                       const std::vector<float>& want, bool add, Call&& call) {
    const size_t stride = channels + 2;
    std::vector<float> out(rows * stride, -77);
    g.channels = channels;
    g.out = out.data();
    g.out_stride = stride;
    for (size_t half = 0; half < 2; ++half) {
        g.panel_begin = half ? panels / 2 : 0;
        g.panel_end = half ? panels : panels / 2;
        call(g);
    }
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < stride; ++c) {
            const float expected = c < channels ? want[r * channels + c] + (add ? -77.0f : 0.0f) : -77.0f;
            CHECK(out[r * stride + c] == expected, "%s row %zu channel %zu", where, r, c);
        }
}

void test_select(const Kernels& k, size_t rows, size_t channels, size_t depth, float zero, float one,
                 bool add) {
    char where[160];
    std::snprintf(where, sizeof where, "%s rows %zu channels %zu depth %zu bits %g %g", k.name, rows,
                  channels, depth, double(zero), double(one));
    const size_t stride = depth + 3;
    const auto x = whole_numbers(rows * stride, 9);
    const auto weights = packed_rows(channels, depth);
    const Panels panels(k.panel, weights.data(), channels, words_for(depth), depth);
    std::vector<float> want(rows * channels);
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < channels; ++c)
            for (size_t i = 0; i < depth; ++i)
                want[r * channels + c] +=
                    x[r * stride + i] * (bit(&weights[c * words_for(depth)], i) ? one : zero);
    GemmSelect g{};
    g.rows = x.data();
    g.row_count = rows;
    g.row_stride = stride;
    g.depth = depth;
    g.panels = panels.data();
    g.units = panels.units();
    g.zero = zero;
    g.one = one;
    g.add = add;
    test_real_product(g, where, rows, channels, panels.count(), want, add, k.gemm_select);
}

template <typename W, class Call>
void test_real(const Kernels& k, size_t rows, size_t channels, size_t depth, Call&& call) {
    char where[160];
    std::snprintf(where, sizeof where, "%s rows %zu channels %zu depth %zu, %zu-byte weights", k.name, rows,
                  channels, depth, sizeof(W));
    const size_t stride = depth + 3, panels = (channels + kRealLanes - 1) / kRealLanes;
    const auto x = whole_numbers(rows * stride, 9), w = whole_numbers(channels * depth, 127);
    Buffer laid(panels * depth * kRealLanes * sizeof(W));
    std::vector<float> want(rows * channels);
    for (size_t c = 0; c < channels; ++c)
        for (size_t i = 0; i < depth; ++i) {
            laid.as<W>()[(c / kRealLanes * depth + i) * kRealLanes + c % kRealLanes] =
                static_cast<W>(w[c * depth + i]);
            for (size_t r = 0; r < rows; ++r) want[r * channels + c] += x[r * stride + i] * w[c * depth + i];
        }
    GemmReal<W> g{};
    g.rows = x.data();
    g.row_count = rows;
    g.row_stride = stride;
    g.depth = depth;
    g.panels = laid.as<W>();
    test_real_product(g, where, rows, channels, panels, want, false, call);
}

template <typename T>
void test_levels(const Kernels& k, size_t channels, size_t levels, const std::vector<T>& special) {
    std::vector<T> x(channels), t(levels * (channels + 1));
    std::vector<uint8_t> falling(channels), codes(channels + 1, 0xab);
    for (size_t c = 0; c < channels; ++c) {
        std::vector<T> column(levels);
        for (auto& level : column) level = special[generator() % (special.size() - 1)];  // the last: x only
        std::sort(column.begin(), column.end());
        for (size_t l = 0; l < levels; ++l) t[l * (channels + 1) + c] = column[l];
        x[c] = special[generator() % special.size()];
        falling[c] = generator() & 1 ? 255 : 0;
    }
    const Levels<T> v{x.data(), t.data(), levels, channels + 1, falling.data(), channels, codes.data()};
    if constexpr (std::is_same_v<T, float>)
        k.levels_f32(v);
    else
        k.levels_i32(v);
    for (size_t c = 0; c < channels; ++c) {
        size_t want = 0;
        for (size_t l = 0; l < levels; ++l) want += (x[c] >= t[l * (channels + 1) + c]) != (falling[c] != 0);
        CHECK(codes[c] == want, "%s channels %zu levels %zu channel %zu", k.name, channels, levels, c);
    }
    CHECK(codes[channels] == 0xab, "%s nothing is written past the last channel", k.name);
}

void test_bits() {
    for (size_t count : {0, 1, 63, 64})
        CHECK(low_bits(count) == (count == 64 ? ~0ull : (1ull << count) - 1), "%zu", count);
    CHECK(words_for(0) == 0 && words_for(1) == 1 && words_for(64) == 1 && words_for(65) == 2, "words_for");
    // Pieces of any length, from any place, land one after the other.
    for (int round = 0; round < 200; ++round) {
        const auto source = packed_rows(1, 300);
        std::vector<bool> want;
        std::vector<uint64_t> out(40, 0x1234);
        BitWriter writer(out.data());
        while (want.size() < 1500) {
            const size_t first = generator() % 200, count = 1 + generator() % 100;
            if (generator() % 4) {
                writer.copy(source.data(), first, count);
                for (size_t i = 0; i < count; ++i) want.push_back(bit(source.data(), first + i));
            } else {
                const bool one = generator() & 1;
                writer.fill(one ? ~uint64_t{0} : 0, count);
                want.insert(want.end(), count, one);
            }
        }
        writer.finish();
        for (size_t i = 0; i < words_for(want.size()) * kWord; ++i)
            CHECK(bit(out.data(), i) == (i < want.size() && want[i]), "bit %zu", i);
        CHECK(out[words_for(want.size())] == 0x1234, "nothing is written past the last word");
    }
}

void test_dispatch() {
    CHECK(std::string(available_kernels().back()->name) == "portable", "portable is always there");
    for (const Kernels* k : available_kernels()) CHECK(&kernels_named(k->name) == k, "%s", k->name);
    CHECK(throws<std::invalid_argument>([] { kernels_named("mmx"); }, "unknown instruction set 'mmx'"),
          "unknown");
    for (const Kernels& k : compiled_kernels())
        if (!k.supported())
            CHECK(throws<std::invalid_argument>([&] { kernels_named(k.name); }, "not supported by this CPU"),
                  "%s", k.name);
    use_kernels("portable");
    CHECK(std::string(active_kernels().name) == "portable", "use");
    use_kernels("");
    CHECK(throws<std::length_error>([] { checked_product(SIZE_MAX / 2, 3); }, "does not fit"), "overflow");
}

}  // namespace

int main() {
    test_bits();
    test_dispatch();
    const float inf = std::numeric_limits<float>::infinity(), tiny = std::numeric_limits<float>::denorm_min();
    for (const Kernels* k : available_kernels()) {
        const int checks_before = checks, failures_before = failures;
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
        for (size_t count : {1, 7, 31, 32, 33, 63, 64, 65, 127, 784})
            for (int planes = 1; planes <= 8; ++planes) test_split(*k, count, planes);
        for (size_t depth : {1, 3, 4, 5, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1100})
            for (size_t channels : {1, 15, 17, 33, 65}) {
                const size_t rows = 1 + (depth + channels) % 9;
                test_select(*k, rows, channels, depth, -1, 1, false);
                test_select(*k, rows, channels, depth, 0, channels % 2 ? 1.0f : -2.0f, true);
                test_real<float>(*k, rows, channels, depth, k->gemm_real_f32);
                test_real<int8_t>(*k, rows, channels, depth, k->gemm_real_i8);
            }
        for (size_t rows : {64, 65, 71, 130}) {
            test_select(*k, rows, 33, 70, -1, 1, false);
            test_real<float>(*k, rows, 33, 300, k->gemm_real_f32);
            test_real<int8_t>(*k, rows, 49, 300, k->gemm_real_i8);
        }
        for (size_t channels : {1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200}) {
            test_threshold<int32_t>(*k, channels, {INT32_MIN, -7, -1, 0, 1, 6, INT32_MAX});
            test_threshold<float>(*k, channels, {-inf, -1.5f, -tiny, -0.0f, 0.0f, tiny, 2.5f, inf, NAN});
            for (size_t levels : {1, 2, 3, 7, 15, 63, 127, 255}) {
                test_levels<int32_t>(*k, channels, levels, {INT32_MIN, -7, -1, 0, 1, 6, INT32_MAX});
                test_levels<float>(*k, channels, levels, {-inf, -1.5f, -tiny, -0.0f, tiny, 2.5f, inf, NAN});
            }
        }
        report(k->name, checks - checks_before, failures - failures_before);
    }
    return report("kernels_test");
}
