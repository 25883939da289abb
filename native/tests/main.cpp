#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int count, char** arguments) {
    doctest::Context context(count, arguments);
    context.setOption("abort-after", 20);
    return context.run();
}
