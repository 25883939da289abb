// Products by the bitsliced kernels against those by popcount: every window and padding, at the edges of
// words, blocks of rows, regions, pairs and counters; and the transposition alone.
#include "products.h"

using namespace binarynet;

TEST_CASE("64 words are turned round") {
    for (const Kernels* k : available_kernels()) {
        uint64_t from[64], to[64];
        for (auto& word : from) word = generator();
        k->transpose(from, to);
        for (size_t i = 0; i < 64; ++i)
            for (size_t j = 0; j < 64; ++j) SAME(bit(to, 64 * i + j) == bit(from, 64 * j + i), "%s", k->name);
    }
}

TEST_CASE("bitsliced products") {
    for (const Kernels* k : available_kernels()) {
        const long before = compared;
        for (size_t depth : {1, 63, 64, 65, 575, 576, 577, 1100, 16000})
            for (size_t filters : {1, 2, 64, 65, 131}) {
                Case c{1, 1, depth, filters};
                c.dense = true;
                c.ones_of_eight = static_cast<int>(filters % 9);
                compare(*k, "bitsliced", c, depth % 2 ? 5 : 4);
            }
        for (size_t images : {127, 128, 255, 257, 511, 512, 513, 1030}) {
            Case c{1, 1, 200, 130};
            c.dense = true;
            compare(*k, "bitsliced", c, images);
        }
        for (int ones : {0, 4, 8}) {  // a flattened image whose pixels have tails
            Case c{3, 3, 70, 140};
            c.dense = true;
            c.ones_of_eight = ones;
            compare(*k, "bitsliced", c, 5);
        }
        for (int pad_value : {0, 1, -1})
            for (size_t width : {1, 6, 7, 8, 9, 31, 64, 65, 70})
                for (int ones : {0, 4, 8}) {
                    Case c{5, width, 40 + width, 9 + 3 * width, 3, 3};
                    c.padding = 1;
                    c.pad_value = pad_value;
                    c.ones_of_eight = ones;
                    compare(*k, "bitsliced", c, 1 + width % 4);
                }
        for (size_t kernel : {1, 2, 3, 4, 5, 7})
            for (size_t dilation : {1, 2})
                for (size_t padding : {size_t{0}, size_t{1}, kernel / 2, kernel - 1}) {
                    if (padding >= kernel) continue;
                    Case c{13, 14, 64, 70, kernel, kernel > 2 ? kernel - 1 : kernel};
                    c.dilation = dilation;
                    c.padding = padding;
                    compare(*k, "bitsliced", c, 3);
                }
        for (size_t channels : {128, 320, 384, 520}) {  // of one region, and of several
            Case c{8, 8, channels, 66, 3, 3};
            c.padding = 1;
            compare(*k, "bitsliced", c, 9);
        }
        // All weights of a region are listed: more than a list may count.
        for (size_t channels : {256, 640, 1280})
            for (size_t kernel : {3, 5}) {
                Case c{6, 7, channels, 5, kernel, kernel};
                c.padding = kernel / 2;
                c.skewed = true;
                c.ones_of_eight = 7;
                compare(*k, "bitsliced", c, 2);
                compare(*k, "vertical", c, 2);
            }
        report(k->name, compared - before);
    }
}
