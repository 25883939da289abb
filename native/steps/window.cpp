#include "window.h"

#include <map>
#include <stdexcept>

namespace binarynet {

void Window::check() const {
    for (size_t side : {kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x})
        if (side < 1 || side > 65536)
            throw std::invalid_argument("kernel, stride and dilation must be 1 … 65536");
    for (size_t side : {top, bottom, left, right})
        if (side > 65536) throw std::invalid_argument("padding must be 0 … 65536");
    if (dilation_y * (kernel_height - 1) >= height + top + bottom ||
        dilation_x * (kernel_width - 1) >= width + left + right)
        throw std::invalid_argument("the window does not fit the image");
}

PaddingClasses::PaddingClasses(const Window& w) {
    struct Axis {
        std::vector<uint32_t> of;                 // place → pattern
        std::vector<std::vector<bool>> patterns;  // pattern → tap outside
    };
    auto distinct = [](size_t places, size_t kernel, auto is_outside) {
        Axis axis;
        std::map<std::vector<bool>, uint32_t> seen;
        for (size_t place = 0; place < places; ++place) {
            std::vector<bool> pattern(kernel);
            for (size_t k = 0; k < kernel; ++k) pattern[k] = is_outside(place, k);
            const auto [entry, fresh] = seen.emplace(pattern, static_cast<uint32_t>(axis.patterns.size()));
            if (fresh) axis.patterns.push_back(pattern);
            axis.of.push_back(entry->second);
        }
        return axis;
    };
    const Axis rows = distinct(w.out_height(), w.kernel_height,
                               [&](size_t oy, size_t ky) { return w.row(oy, ky) >= w.height; });
    const Axis columns = distinct(w.out_width(), w.kernel_width,
                                  [&](size_t ox, size_t kx) { return w.column(ox, kx) >= w.width; });
    for (uint32_t y : rows.of)
        for (uint32_t x : columns.of) of.push_back(y * static_cast<uint32_t>(columns.patterns.size()) + x);
    for (const auto& y : rows.patterns) {
        for (const auto& x : columns.patterns) {
            std::vector<bool> taps;
            for (bool row : y)
                for (bool column : x) taps.push_back(row || column);
            outside.push_back(std::move(taps));
        }
    }
}

}  // namespace binarynet
