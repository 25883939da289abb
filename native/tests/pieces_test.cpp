// Convolutions by popcount whose rows are read where they lie, against those of portable C++, which gathers
// them.
#include "products.h"

using namespace binarynet;

TEST_CASE("convolutions by popcount") {
    for (const Kernels* k : available_kernels()) {
        const long before = compared;
        for (size_t kernel : {1, 2, 3, 5})
            for (size_t stride : {1, 2, 3})
                for (size_t padding : {0, 1, 2})
                    for (size_t channels : {64, 128, 192, 70}) {
                        Case c{9,        10 + kernel,
                               channels, 5 + 31 * stride,
                               kernel,   kernel > 2 ? kernel - 1 : kernel};
                        c.stride = stride;
                        c.padding = padding;
                        c.pad_value = static_cast<int>((kernel + channels / 64) % 3) - 1;
                        c.dilation = channels == 192 ? 2 : 1;
                        c.ending = Ending(static_cast<int>((kernel + stride + padding) % 5));
                        compare(*k, "popcount", c, 1 + padding);
                    }
        Case wide{3, 300, 64, 70, 3, 3};  // a row of the output that is a tile, and more than L1 holds
        wide.padding = 1;
        compare(*k, "popcount", wide, 2);
        wide.height = 40;
        wide.width = 33;
        compare(*k, "popcount", wide, 1);
        report(k->name, compared - before);
    }
}
