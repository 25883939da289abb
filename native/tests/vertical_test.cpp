// Products by the vertical kernels against those by popcount: every ending, window, padding and sign balance,
// at the edges of words, chunks, blocks, parts and pairs.
#include "products.h"

using namespace binarynet;

TEST_CASE("vertical products") {
    for (const Kernels* k : available_kernels()) {
        const long before = compared;
        for (size_t depth : {1, 63, 64, 65, 511, 512, 513, 1100, 16000})
            for (size_t filters : {1, 8, 65, 130}) {
                Case c{1, 1, depth, filters};
                c.dense = true;
                c.ones_of_eight = static_cast<int>(filters % 9);
                compare(*k, "vertical", c, depth % 2 ? 5 : 4);
                c.ending = filters % 2 ? Ending::int32 : Ending::codes;
                compare(*k, "vertical", c, 1);
            }
        for (size_t filters : {127, 128, 255, 256, 257, 511, 512, 513, 1030})
            for (Ending ending : {Ending::bits, Ending::int32, Ending::reals}) {
                Case c{1, 1, 200, filters};
                c.dense = true;
                c.ending = ending;
                for (size_t images : {1, 2, 31, 300}) compare(*k, "vertical", c, images);
            }
        // Answers that pass the caches, in whole words of outputs and in others.
        for (size_t filters : {1024, 1040, 1030}) {
            Case c{1, 1, 65, filters};
            c.dense = true;
            c.ending = Ending::int32;
            c.ones_of_eight = filters == 1024 ? 4 : 6;
            compare(*k, "vertical", c, 1100);
        }
        // A flattened image whose pixels have tails, mostly −1 and mostly +1.
        for (int ones : {0, 1, 4, 7, 8}) {
            Case c{3, 3, 70, 140};
            c.dense = true;
            c.ones_of_eight = ones;
            compare(*k, "vertical", c, 5);
        }
        for (int pad_value : {0, 1, -1})
            for (size_t filters : {9, 64, 100, 128, 200, 256, 300, 600})
                for (int ones : {1, 4, 7}) {
                    Case c{5, 6, 40 + filters % 60, filters, 3, 3};
                    c.padding = 1;
                    c.pad_value = pad_value;
                    c.ones_of_eight = ones;
                    c.ending = Ending(static_cast<int>(filters + static_cast<size_t>(ones)) % 5);
                    compare(*k, "vertical", c, 1 + filters % 3);
                }
        for (size_t kernel : {1, 2, 3, 4, 5})
            for (size_t stride : {1, 2, 3})
                for (size_t dilation : {1, 2}) {
                    Case c{11, 9, 64, 96, kernel, kernel > 2 ? kernel - 1 : kernel};
                    c.stride = stride;
                    c.dilation = dilation;
                    c.padding = kernel / 2;
                    compare(*k, "vertical", c, 2);
                    c.ending = Ending::int32;
                    c.channels = 130;
                    c.filters = 40;
                    compare(*k, "vertical", c, 1);
                }
        for (size_t channels : {448, 512, 520, 1100})  // pixels of one chunk, and of several
            for (size_t width : {1, 2, 7}) {
                Case c{4, width, channels, 70, 3, 3};
                c.padding = 1;
                compare(*k, "vertical", c, 3);
            }
        Case wide{3, 300, 64, 64, 3, 3};  // a row that is a part by itself
        wide.padding = 1;
        wide.ending = Ending::reals;
        compare(*k, "vertical", wide, 2);
        report(k->name, compared - before);
    }
}
