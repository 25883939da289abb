#include "naive.h"

namespace binarynet {

// Sums in the order of the loops, as the standard wants them, so that no compiler makes vectors of them.
void naive_conv3x3(const float* image, size_t height, size_t width, size_t channels, const float* weight,
                   size_t filters, float* out) {
    for (size_t y = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x)
            for (size_t f = 0; f < filters; ++f) {
                float sum = 0;
                for (size_t ky = 0; ky < 3; ++ky)
                    for (size_t kx = 0; kx < 3; ++kx) {
                        const size_t iy = y + ky - 1, ix = x + kx - 1;  // wrap outside
                        if (iy >= height || ix >= width) continue;
                        const float* a = image + (iy * width + ix) * channels;
                        const float* w = weight + ((f * 3 + ky) * 3 + kx) * channels;
                        for (size_t c = 0; c < channels; ++c) sum += a[c] * w[c];
                    }
                out[(y * width + x) * filters + f] = sum;
            }
}

}  // namespace binarynet
