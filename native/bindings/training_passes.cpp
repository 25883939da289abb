// Norms and pools of the Python module binarynet._training; training.cpp has the rest.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include "addresses.h"
#include "training/norm.h"
#include "training/pool.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace binarynet::training;

void bind_passes(nb::module_& m) {
    const auto unlocked = nb::call_guard<nb::gil_scoped_release>();

    nb::class_<NormShape>(m, "NormShape").def(nb::init<size_t, size_t>(), "rows"_a, "channels"_a);
    m.def(
        "norm_statistics",
        [](const NormShape& shape, Address x, Address mean, Address variance, int threads) {
            norm_statistics(shape, at<float>(x), at<float>(mean), at<float>(variance), threads);
        },
        "shape"_a, "x"_a, "mean"_a, "variance"_a, "threads"_a, unlocked);
    m.def(
        "norm_forward",
        [](const NormShape& shape, Address x, Address scale, Address shift, bool sign, Address y,
           Address narrow, int threads) {
            Narrow kept{at<int16_t>(narrow)};
            norm_forward(shape, at<float>(x), at<float>(scale), at<float>(shift), sign, at<float>(y), kept,
                         threads);
            return kept.to && kept.fits;
        },
        "shape"_a, "x"_a, "scale"_a, "shift"_a, "sign"_a, "y"_a, "narrow"_a, "threads"_a, unlocked);
    m.def(
        "norm_signs",
        [](const std::string& kernel, const NormShape& shape, Address x, Address scale, Address shift,
           Address bits, Address narrow, int threads) {
            Narrow kept{at<int16_t>(narrow)};
            const bool all = norm_signs(kernel_named(kernel), shape, at<float>(x), at<float>(scale),
                                        at<float>(shift), at<uint32_t>(bits), kept, threads);
            return std::pair<bool, bool>(all, kept.to && kept.fits);
        },
        "kernel"_a, "shape"_a, "x"_a, "scale"_a, "shift"_a, "bits"_a, "narrow"_a, "threads"_a, unlocked);
    m.def(
        "norm_sums",
        [](const NormShape& shape, Address g, Address x, Address integers, Address mean, bool sign,
           float window, Address scale, Address shift, Address sum, Address product, int threads) {
            norm_sums(shape, at<float>(g), {at<float>(x), at<int16_t>(integers)}, at<float>(mean),
                      {sign, window, at<float>(scale), at<float>(shift)}, at<float>(sum), at<float>(product),
                      threads);
        },
        "shape"_a, "g"_a, "x"_a, "integers"_a, "mean"_a, "sign"_a, "window"_a, "scale"_a, "shift"_a, "sum"_a,
        "product"_a, "threads"_a, unlocked);
    m.def(
        "norm_gradient",
        [](const NormShape& shape, Address g, Address x, Address integers, Address mean, bool sign,
           float window, Address scale, Address shift, Address slope, Address level, Address dx,
           int threads) {
            norm_gradient(shape, at<float>(g), {at<float>(x), at<int16_t>(integers)}, at<float>(mean),
                          {sign, window, at<float>(scale), at<float>(shift)}, at<float>(slope),
                          at<float>(level), at<float>(dx), threads);
        },
        "shape"_a, "g"_a, "x"_a, "integers"_a, "mean"_a, "sign"_a, "window"_a, "scale"_a, "shift"_a,
        "slope"_a, "level"_a, "dx"_a, "threads"_a, unlocked);
    nb::class_<PoolShape>(m, "PoolShape")
        .def(nb::init<size_t, size_t, size_t, size_t>(), "images"_a, "height"_a, "width"_a, "channels"_a);
    m.def(
        "max_pool",
        [](const PoolShape& shape, Address x, Address y, Address from, int threads) {
            max_pool(shape, at<float>(x), at<float>(y), at<uint8_t>(from), threads);
        },
        "shape"_a, "x"_a, "y"_a, "from_"_a, "threads"_a, unlocked);
    m.def(
        "max_pool_gradient",
        [](const PoolShape& shape, Address g, Address from, Address dx, int threads) {
            max_pool_gradient(shape, at<float>(g), at<uint8_t>(from), at<float>(dx), threads);
        },
        "shape"_a, "g"_a, "from_"_a, "dx"_a, "threads"_a, unlocked);
}
