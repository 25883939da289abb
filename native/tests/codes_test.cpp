// What makes codes and bits, in every instruction set of this CPU: planes, thresholds, levels; and the
// packing.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "numbers.h"
#include "random.h"

using namespace binarynet;

namespace {

void test_split(const Kernels& k, size_t count, int planes) {
    std::vector<uint8_t> codes(count);
    for (auto& code : codes) code = static_cast<uint8_t>(generator() & ((1u << planes) - 1));
    const size_t words = words_for(count);
    std::vector<uint64_t> out(words * static_cast<size_t>(planes), ~uint64_t{0});
    k.split(codes.data(), count, planes, out.data(), words);
    for (int n = 0; n < planes; ++n)
        for (size_t i = 0; i < words * kWord; ++i)
            SAME(bit(&out[static_cast<size_t>(n) * words], i) == (i < count && (codes[i] >> n & 1)),
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
        SAME(bit(out.data(), c) == want, "%s channels %zu channel %zu", k.name, channels, c);
    }
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
        SAME(codes[c] == want, "%s channels %zu levels %zu channel %zu", k.name, channels, levels, c);
    }
    SAME(codes[channels] == 0xab, "%s nothing is written past the last channel", k.name);
}

}  // namespace

TEST_CASE("codes become planes, numbers become codes") {
    const float inf = std::numeric_limits<float>::infinity(), tiny = std::numeric_limits<float>::denorm_min();
    for (const Kernels* k : available_kernels()) {
        for (size_t count : {1, 7, 31, 32, 33, 63, 64, 65, 127, 784})
            for (int planes = 1; planes <= 8; ++planes) test_split(*k, count, planes);
        for (size_t channels : {1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200}) {
            test_threshold<int32_t>(*k, channels, {INT32_MIN, -7, -1, 0, 1, 6, INT32_MAX});
            test_threshold<float>(*k, channels, {-inf, -1.5f, -tiny, -0.0f, 0.0f, tiny, 2.5f, inf, NAN});
            for (size_t levels : {1, 2, 3, 7, 15, 63, 127, 255}) {
                test_levels<int32_t>(*k, channels, levels, {INT32_MIN, -7, -1, 0, 1, 6, INT32_MAX});
                test_levels<float>(*k, channels, levels, {-inf, -1.5f, -tiny, -0.0f, tiny, 2.5f, inf, NAN});
            }
        }
    }
}

TEST_CASE("words and bits") {
    for (size_t count : {0, 1, 63, 64})
        SAME(low_bits(count) == (count == 64 ? ~0ull : (1ull << count) - 1), "%zu", count);
    SAME(words_for(0) == 0 && words_for(1) == 1 && words_for(64) == 1 && words_for(65) == 2, "words_for");
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
            SAME(bit(out.data(), i) == (i < want.size() && want[i]), "bit %zu", i);
        SAME(out[words_for(want.size())] == 0x1234, "nothing is written past the last word");
    }
}
