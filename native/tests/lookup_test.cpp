// Codes × ±1 by look-ups against popcount of their planes: every ending, window and padding, at the edges of
// units, of what 16 bits hold, of panels and of blocks of rows.
#include "products.h"

using namespace binarynet;

TEST_CASE("products of codes by look-ups") {
    for (const Kernels* k : available_kernels()) {
        if (!k->lookup.channels) continue;
        const long before = compared;
        for (const char* encoding : {"b8", "u8", "u4", "b2"})
            for (size_t depth : {1, 4, 5, 14, 15, 16, 17, 63, 64, 65, 254, 255, 256, 257, 784, 4607}) {
                Case c{1, 1, depth, 1 + depth % 131};
                c.dense = true;
                c.encoding = encoding;
                c.ones_of_eight = depth % 2 ? 8 : 4;  // all of them the largest, or any
                c.ending = Ending(static_cast<int>(depth % 5));
                compare(*k, "lookup", c, 1 + depth % 6);
            }
        for (size_t filters : {1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300})
            for (Ending ending : {Ending::bits, Ending::int32, Ending::reals, Ending::codes}) {
                Case c{1, 1, 300, filters};
                c.dense = true;
                c.encoding = "b8";
                c.ending = ending;
                for (size_t images : {1, 2, 3, 5, 300}) compare(*k, "lookup", c, images);
            }
        for (const char* encoding : {"b8", "u8", "b3"})
            for (size_t channels : {1, 3, 20})
                for (size_t kernel : {1, 3, 5})
                    for (size_t stride : {1, 2}) {
                        Case c{9, 7, channels, 16 + 29 * channels % 90, kernel, kernel};
                        c.encoding = encoding;
                        c.stride = stride;
                        c.padding = kernel / 2;
                        c.dilation = kernel == 3 ? stride : 1;
                        c.ending = Ending(static_cast<int>((channels + kernel + stride) % 5));
                        compare(*k, "lookup", c, 1 + channels % 3);
                        c.padding = 0;
                        compare(*k, "lookup", c, 2);
                    }
        report(k->name, compared - before);
    }
}
