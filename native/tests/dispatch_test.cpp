#include <stdexcept>
#include <string>

#include "base/memory.h"
#include "kernels/dispatch.h"
#include "numbers.h"

using namespace binarynet;

TEST_CASE("instruction sets are known by name") {
    CHECK(std::string(available_kernels().back()->name) == "portable");
    for (const Kernels* k : available_kernels()) CHECK(&kernels_named(k->name) == k);
    CHECK_THROWS_WITH_AS(kernels_named("mmx"), doctest::Contains("unknown instruction set 'mmx'"),
                         std::invalid_argument);
    for (const Kernels& k : compiled_kernels())
        if (!k.supported())
            CHECK_THROWS_WITH_AS(kernels_named(k.name), doctest::Contains("not supported by this CPU"),
                                 std::invalid_argument);
    use_kernels("portable");
    CHECK(std::string(active_kernels().name) == "portable");
    use_kernels("");
}

TEST_CASE("every instruction set has a price for everything") {
    for (const Kernels* k : available_kernels()) {
        CAPTURE(k->name);
        REQUIRE(k->prices);
        CHECK(k->prices->of[Work::popcounts] > 0);
    }
}

TEST_CASE("sizes beyond memory are refused") {
    CHECK_THROWS_WITH_AS(checked_product(SIZE_MAX / 2, 3), doctest::Contains("does not fit"),
                         std::length_error);
}
