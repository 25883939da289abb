// The Python module binarynet._training. Its typed face is src/binarynet/_training.pyi. Tensors come as
// addresses: binarynet.nn.native is the one caller, and has looked at their types, shapes and strides.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>

#include "addresses.h"
#include "training/multiply.h"
#include "training/products.h"
#include "training/steps.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace binarynet::training;

namespace {

Unit unit_named(const std::string& name) {
    return name == "bytes" ? Unit::kBytes : name == "bfloat16" ? Unit::kBfloat16 : Unit::kFloat32;
}

Product product_named(const std::string& name) {
    if (name == "forward") return Product::kForward;
    return name == "input" ? Product::kInputGradient : Product::kWeightGradient;
}

// No pieces: x are bits.
Operand operand(Address x, int pieces) {
    return pieces ? Operand{at<float>(x)} : Operand{nullptr, at<uint32_t>(x)};
}

}  // namespace

NB_MODULE(_training, m) {
    m.doc() = "What training steps on a CPU need: products, and updates in one pass over memory.";
    // Graphs of autograd that a script still holds at the end keep shapes alive: no leak of ours.
    nb::set_leak_warnings(false);
    const auto unlocked = nb::call_guard<nb::gil_scoped_release>();

    m.def("products_supported", &products_supported);

    m.def("kernels", [] {
        std::vector<std::string> names;
        for (const Kernel* kernel : kernels()) names.push_back(kernel->name);
        return names;
    });
    m.def(
        "runs",
        [](const std::string& name) {
            for (const Kernel* kernel : kernels())
                if (name == kernel->name) return kernel->runs();
            return false;
        },
        "name"_a);
    m.def(
        "has_bfloat16", [](const std::string& name) { return kernel_named(name).has_bfloat16(); }, "name"_a);
    nb::class_<Side>(m, "Side").def(nb::init<size_t, size_t, size_t, size_t, size_t>(), "size"_a, "kernel"_a,
                                    "stride"_a, "padding"_a, "dilation"_a);
    nb::class_<Geometry>(m, "Geometry")
        .def(nb::init<size_t, size_t, size_t, size_t, Side, Side>(), "images"_a, "channels"_a, "filters"_a,
             "groups"_a, "y"_a, "x"_a);
    m.def("sign_words", &sign_words, "geometry"_a);
    m.def("code_bytes", &code_bytes, "geometry"_a);
    m.def("weight_words", &weight_words, "geometry"_a);
    nb::enum_<Form>(m, "Form")
        .value("real", Form::kReal)
        .value("bits", Form::kBits)
        .value("bytes", Form::kBytes);
    nb::class_<Codes>(m, "Codes")
        .def(nb::init<>())
        .def_rw("form", &Codes::form)
        .def_ro("pieces", &Codes::pieces)
        .def_ro("scale", &Codes::scale)
        .def_ro("most", &Codes::most);
    m.def(
        "pack_ones",
        [](const std::string& kernel, const Geometry& g, Address x, Address bits, int threads) {
            return pack_ones(kernel_named(kernel), g, at<float>(x), at<uint32_t>(bits), threads);
        },
        "kernel"_a, "geometry"_a, "x"_a, "bits"_a, "threads"_a, unlocked);
    m.def(
        "find_codes",
        [](Address x, size_t count, int threads) { return find_codes(at<float>(x), count, threads); }, "x"_a,
        "count"_a, "threads"_a, unlocked);
    m.def(
        "pack_codes",
        [](const Geometry& g, const Codes& codes, Address x, Address bytes, int threads) {
            pack_codes(g, codes, at<float>(x), at<uint8_t>(bytes), threads);
        },
        "geometry"_a, "codes"_a, "x"_a, "bytes"_a, "threads"_a, unlocked);
    m.def(
        "unpack",
        [](const Geometry& g, const Codes& codes, Address numbers, Address x, int threads) {
            unpack(g, codes, at<void>(numbers), at<float>(x), threads);
        },
        "geometry"_a, "codes"_a, "numbers"_a, "x"_a, "threads"_a, unlocked);
    m.def(
        "pack_weight_signs",
        [](const std::string& kernel, const Geometry& g, Address w, bool latent, Address bits, Address scales,
           int threads) {
            return pack_weight_signs(kernel_named(kernel), g, at<float>(w), latent, at<uint32_t>(bits),
                                     at<float>(scales), threads);
        },
        "kernel"_a, "geometry"_a, "w"_a, "latent"_a, "bits"_a, "scales"_a, "threads"_a, unlocked);
    m.def(
        "pack_weight_bytes",
        [](const Geometry& g, Address w, Address bytes, Address scales, int threads) {
            return pack_weight_bytes(g, at<float>(w), at<int8_t>(bytes), at<float>(scales), threads);
        },
        "geometry"_a, "w"_a, "bytes"_a, "scales"_a, "threads"_a, unlocked);
    m.def(
        "forward",
        [](const std::string& kernel, const Geometry& g, const Codes& codes, Address x, Form form, Address w,
           Address scales, Address y, int threads) {
            forward(kernel_named(kernel), g, {codes, at<void>(x)}, {form, at<void>(w), at<float>(scales)},
                    at<float>(y), threads);
        },
        "kernel"_a, "geometry"_a, "codes"_a, "x"_a, "form"_a, "w"_a, "scales"_a, "y"_a, "threads"_a,
        unlocked);
    nb::class_<Rounding>(m, "Rounding")
        .def(
            "__init__",
            [](Rounding* self, const std::string& unit, int levels, uint64_t seed, Address images,
               Address filters) {
                new (self) Rounding{unit_named(unit), levels, seed, at<float>(images), at<float>(filters)};
            },
            "unit"_a, "levels"_a = 254, "seed"_a = 0, "images"_a = 0, "filters"_a = 0);
    m.def(
        "gradient_ranges",
        [](const Geometry& g, Address gradient, Address scales, Address images, Address filters,
           int threads) {
            return gradient_ranges(g, at<float>(gradient), at<float>(scales), at<float>(images),
                                   at<float>(filters), threads);
        },
        "geometry"_a, "gradient"_a, "scales"_a, "images"_a, "filters"_a, "threads"_a, unlocked);
    m.def(
        "input_gradient",
        [](const std::string& kernel, const Geometry& g, const Rounding& rounding, Address gradient,
           Form form, Address w, Address scales, Address dx, int threads) {
            input_gradient(kernel_named(kernel), g, rounding, at<float>(gradient),
                           {form, at<void>(w), at<float>(scales)}, at<float>(dx), threads);
        },
        "kernel"_a, "geometry"_a, "rounding"_a, "gradient"_a, "form"_a, "w"_a, "scales"_a, "dx"_a,
        "threads"_a, unlocked);
    m.def(
        "weight_gradient",
        [](const std::string& kernel, const Geometry& g, const Rounding& rounding, Address gradient,
           const Codes& codes, Address x, Address dw, int threads) {
            weight_gradient(kernel_named(kernel), g, rounding, at<float>(gradient), {codes, at<void>(x)},
                            at<float>(dw), threads);
        },
        "kernel"_a, "geometry"_a, "rounding"_a, "gradient"_a, "codes"_a, "x"_a, "dw"_a, "threads"_a,
        unlocked);
    m.def("weight_gradient_fits", &weight_gradient_fits, "geometry"_a, "most"_a);
    m.def(
        "multiplier",
        [](const std::string& kernel, const Geometry& g, const std::string& what, const std::string& unit) {
            return std::string(
                multiplier(kernel_named(kernel), g, product_named(what), unit_named(unit)).name);
        },
        "kernel"_a, "geometry"_a, "product"_a, "unit"_a);
#if defined(__x86_64__)
    nb::class_<LinearShape>(m, "LinearShape")
        .def(nb::init<size_t, size_t, size_t>(), "batch"_a, "depth"_a, "channels"_a);
    nb::class_<ConvShape>(m, "ConvShape")
        .def(nb::init<size_t, size_t, size_t, size_t, size_t, size_t, size_t>(), "images"_a, "height"_a,
             "width"_a, "channels"_a, "filters"_a, "kernel_height"_a, "kernel_width"_a);
    m.def(
        "pieces_of",
        [](Address x, size_t count, int threads) { return pieces_of(at<float>(x), count, threads); }, "x"_a,
        "count"_a, "threads"_a, unlocked);
    m.def("linear_sign_words", &linear_sign_words, "shape"_a);
    m.def(
        "linear",
        [](const LinearShape& shape, Address x, int pieces, Address w, Address y, Address signs,
           int threads) {
            return linear(shape, operand(x, pieces), std::max(pieces, 1), at<float>(w), at<float>(y),
                          at<uint32_t>(signs), threads);
        },
        "shape"_a, "x"_a, "pieces"_a, "w"_a, "y"_a, "signs"_a, "threads"_a, unlocked);
    m.def(
        "linear_input_gradient",
        [](const LinearShape& shape, Address g, int pieces, Address signs, Address dx, int threads) {
            linear_input_gradient(shape, at<float>(g), pieces, at<uint32_t>(signs), at<float>(dx), threads);
        },
        "shape"_a, "g"_a, "pieces"_a, "signs"_a, "dx"_a, "threads"_a, unlocked);
    m.def(
        "linear_weight_gradient",
        [](const LinearShape& shape, Address g, int g_pieces, Address x, int x_pieces, Address dw,
           int threads) {
            linear_weight_gradient(shape, at<float>(g), g_pieces, operand(x, x_pieces), std::max(x_pieces, 1),
                                   at<float>(dw), threads);
        },
        "shape"_a, "g"_a, "g_pieces"_a, "x"_a, "x_pieces"_a, "dw"_a, "threads"_a, unlocked);
    m.def(
        "conv",
        [](const ConvShape& shape, Address x, int most_pieces, Address w, Address y, Address signs,
           int threads) {
            return conv(shape, operand(x, most_pieces), most_pieces, at<float>(w), at<float>(y),
                        at<uint32_t>(signs), threads);
        },
        "shape"_a, "x"_a, "most_pieces"_a, "w"_a, "y"_a, "signs"_a, "threads"_a, unlocked);
    m.def("conv_takes_signs", &conv_takes_signs, "shape"_a);
    m.def("conv_sign_words", &conv_sign_words, "shape"_a);
    m.def(
        "conv_input_gradient",
        [](const ConvShape& shape, Address g, Address from, int pieces, Address signs, Address dx,
           int threads) {
            conv_input_gradient(shape, {at<float>(g), nullptr, at<uint8_t>(from)}, pieces,
                                at<uint32_t>(signs), nullptr, at<float>(dx), threads);
        },
        "shape"_a, "g"_a, "from_"_a, "pieces"_a, "signs"_a, "dx"_a, "threads"_a, unlocked);
    m.def(
        "conv_weight_gradient",
        [](const ConvShape& shape, Address g, Address from, int g_pieces, Address x, int x_pieces, Address dw,
           int threads) {
            conv_weight_gradient(shape, {at<float>(g), nullptr, at<uint8_t>(from)}, g_pieces,
                                 operand(x, x_pieces), std::max(x_pieces, 1), at<float>(dw), threads);
        },
        "shape"_a, "g"_a, "from_"_a, "g_pieces"_a, "x"_a, "x_pieces"_a, "dw"_a, "threads"_a, unlocked);
#endif
    m.def(
        "adam",
        [](Address w, Address g, Address m1, Address v, size_t count, double beta1, double beta2, float eps,
           float rate, float deviation, float clip, float keep, int threads) {
            adam(at<float>(w), at<float>(g), at<float>(m1), at<float>(v), count,
                 {static_cast<float>(1 - beta1), static_cast<float>(beta2), static_cast<float>(1 - beta2),
                  eps, rate, deviation, clip, keep},
                 threads);
        },
        "w"_a, "g"_a, "m"_a, "v"_a, "count"_a, nb::kw_only(), "beta1"_a, "beta2"_a, "eps"_a, "rate"_a,
        "deviation"_a, "clip"_a, "keep"_a, "threads"_a, unlocked);
    m.def(
        "sgd",
        [](Address w, Address g, Address m1, size_t count, float momentum, float gain, float decay,
           float rate, float clip, bool nesterov, int threads) {
            sgd(at<float>(w), at<float>(g), at<float>(m1), count,
                {momentum, gain, decay, rate, clip, nesterov}, threads);
        },
        "w"_a, "g"_a, "m"_a, "count"_a, nb::kw_only(), "momentum"_a, "gain"_a, "decay"_a, "rate"_a, "clip"_a,
        "nesterov"_a, "threads"_a, unlocked);
    m.def(
        "hat_gradient",
        [](Address g, Address x, Address dx, size_t count, int threads) {
            hat_gradient(at<float>(g), at<float>(x), at<float>(dx), count, threads);
        },
        "g"_a, "x"_a, "dx"_a, "count"_a, "threads"_a, unlocked);
    m.def(
        "shift_adamax",
        [](Address w, Address g, Address m1, Address v, size_t count, double beta1, double beta2, float eps,
           float rate, bool nearest, float clip, int threads) {
            shift_adamax(at<float>(w), at<float>(g), at<float>(m1), at<float>(v), count,
                         {static_cast<float>(1 - beta1), static_cast<float>(beta2), eps, rate, nearest, clip},
                         threads);
        },
        "w"_a, "g"_a, "m"_a, "v"_a, "count"_a, nb::kw_only(), "beta1"_a, "beta2"_a, "eps"_a, "rate"_a,
        "nearest"_a, "clip"_a, "threads"_a, unlocked);
    m.def(
        "sign",
        [](Address x, Address y, size_t count, int threads) {
            sign(at<float>(x), at<float>(y), count, threads);
        },
        "x"_a, "y"_a, "count"_a, "threads"_a, unlocked);
    m.def(
        "window_gradient",
        [](Address g, Address x, float window, Address dx, size_t count, int threads) {
            window_gradient(at<float>(g), at<float>(x), window, at<float>(dx), count, threads);
        },
        "g"_a, "x"_a, "window"_a, "dx"_a, "count"_a, "threads"_a, unlocked);
    m.def(
        "dropout",
        [](Address x, uint64_t seed, double p, Address y, size_t count, int threads) {
            dropout(at<float>(x), seed, static_cast<uint32_t>(p * 0x1p32), static_cast<float>(1 / (1 - p)),
                    at<float>(y), count, threads);
        },
        "x"_a, "seed"_a, "p"_a, "y"_a, "count"_a, "threads"_a, unlocked);

    bind_passes(m);
}
