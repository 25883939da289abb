// A window that moves over an image, and what of it lies outside.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace binarynet {

// A window that moves over an image: convolutions and pools.
struct Window {
    size_t height, width;  // of the image
    size_t kernel_height, kernel_width;
    size_t stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1;
    size_t top = 0, bottom = 0, left = 0, right = 0;  // padding

    // Throws std::invalid_argument if the window does not fit.
    void check() const;
    size_t out_height() const {
        return (height + top + bottom - dilation_y * (kernel_height - 1) - 1) / stride_y + 1;
    }
    size_t out_width() const {
        return (width + left + right - dilation_x * (kernel_width - 1) - 1) / stride_x + 1;
    }
    size_t positions() const { return out_height() * out_width(); }
    size_t taps() const { return kernel_height * kernel_width; }

    // Row of the image under tap ky of output row oy; ≥ height (also by wrapping) if outside.
    size_t row(size_t oy, size_t ky) const { return oy * stride_y + ky * dilation_y - top; }
    size_t column(size_t ox, size_t kx) const { return ox * stride_x + kx * dilation_x - left; }
};

// Zero padding: positions of the output with the same taps outside the image share a class, which is a pair
// of a pattern of kernel rows and a pattern of kernel columns.
struct PaddingClasses {
    std::vector<uint32_t> of;                // position → class
    std::vector<std::vector<bool>> outside;  // class → tap → whether it lies outside

    explicit PaddingClasses(const Window& window);
};

}  // namespace binarynet
