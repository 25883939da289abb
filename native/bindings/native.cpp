// The Python module binarynet._native. Its typed face is src/binarynet/_native.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <stdexcept>

#include "base/memory.h"
#include "base/threads.h"
#include "bench/naive.h"
#include "bench/peaks.h"
#include "kernels/dispatch.h"
#include "network/network.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using binarynet::Network;
using Sides = std::pair<size_t, size_t>;

template <typename T>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

template <typename T>
std::vector<T> copy(const Array<T>& array) {
    return std::vector<T>(array.data(), array.data() + array.size());
}

binarynet::Window window(Sides kernel, Sides stride, Sides dilation, std::pair<Sides, Sides> padding) {
    binarynet::Window w{};
    w.kernel_height = kernel.first;
    w.kernel_width = kernel.second;
    w.stride_y = stride.first;
    w.stride_x = stride.second;
    w.dilation_y = dilation.first;
    w.dilation_x = dilation.second;
    w.top = padding.first.first;
    w.bottom = padding.first.second;
    w.left = padding.second.first;
    w.right = padding.second.second;
    return w;
}

binarynet::PackedWeights weights(const Array<uint64_t>& weight, const std::string& encoding) {
    const binarynet::Code code = binarynet::Code::parse(encoding);
    if (weight.ndim() != 3 || weight.shape(0) != static_cast<size_t>(code.bits))
        throw std::invalid_argument("weights of " + encoding + " are (" + std::to_string(code.bits) +
                                    ", channels, words) uint64");
    return {code, weight.shape(1), copy(weight)};
}

binarynet::ThresholdTable table(const Array<bool>& rising, const std::string& encoding) {
    return {{}, {}, {rising.data(), rising.data() + rising.size()}, binarynet::Code::parse(encoding)};
}

using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;

bool run(Network& network, Input input, Output output, double* seconds) {
    if (!network.finished()) throw std::invalid_argument("finish() the network before it runs");
    const size_t images = input.ndim() ? input.shape(0) : 0;
    const bool matches = network.input_is_float() ? input.dtype() == nb::dtype<float>()
                                                  : input.dtype() == nb::dtype<uint8_t>();
    if (!matches || !input.ndim() || input.size() != images * network.input_numbers())
        throw std::invalid_argument("the input must be (n, …) " +
                                    std::string(network.input_is_float() ? "float32" : "uint8") + " with " +
                                    std::to_string(network.input_numbers()) + " numbers for each image");
    const bool writable = network.output_is_float() ? output.dtype() == nb::dtype<float>()
                                                    : output.dtype() == nb::dtype<int32_t>();
    if (!writable || output.size() != images * network.output_numbers())
        throw std::invalid_argument("the output must be " +
                                    std::string(network.output_is_float() ? "float32" : "int32") + " with " +
                                    std::to_string(network.output_numbers()) + " numbers for each of " +
                                    std::to_string(images) + " images");
    nb::gil_scoped_release release;
    return network.run(input.data(), images, output.data(), seconds);
}

std::vector<double> run_timed(Network& network, Input input, Output output) {
    std::vector<double> seconds(network.steps());
    run(network, input, output, seconds.data());
    return seconds;
}

nb::list plan(const Network& network, size_t images) {
    nb::list list;
    for (const auto& step : network.plan(images)) {
        nb::dict work;
        for (size_t i = 0; i < binarynet::Work::kCounts; ++i)
            if (step.work.amount[i] > 0) work[binarynet::Work::kNames[i]] = step.work.amount[i];
        list.append(nb::make_tuple(step.op, step.kernel, step.seconds, step.weight_bytes, step.fused, work));
    }
    return list;
}

std::map<std::string, double> prices(const std::string& isa) {
    std::map<std::string, double> found;
    for (size_t i = 0; i < binarynet::Work::kCounts; ++i)
        found[binarynet::Work::kNames[i]] = binarynet::kernels_named(isa).prices->of[i];
    return found;
}

void use_prices(const std::string& isa, const std::map<std::string, double>& wanted) {
    binarynet::Prices prices{};
    for (size_t i = 0; i < binarynet::Work::kCounts; ++i) {
        const auto price = wanted.find(binarynet::Work::kNames[i]);
        if (price == wanted.end() || !(price->second >= 0 && price->second < 1e12))
            throw std::invalid_argument(std::string("no price of '") + binarynet::Work::kNames[i] + "'");
        prices.of[i] = price->second;
    }
    if (wanted.size() != binarynet::Work::kCounts)
        throw std::invalid_argument("a price of what is not counted");
    binarynet::use_prices(isa, prices);
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The native engine: kernels for several instruction sets, and networks that run on them.";

    m.def(
        "compiled",
        [] {
            std::vector<std::pair<std::string, std::string>> list;
            for (const auto& k : binarynet::compiled_kernels()) list.emplace_back(k.name, k.title);
            return list;
        },
        "Name and title of every instruction set in this build, best first.");
    m.def(
        "available",
        [] {
            std::vector<std::string> names;
            for (const auto* k : binarynet::available_kernels()) names.emplace_back(k->name);
            return names;
        },
        "Those that this CPU supports, best first.");
    m.def("active", [] { return std::string(binarynet::active_kernels().name); });
    m.def("use", &binarynet::use_kernels, "name"_a);
    m.def("prices", &prices, "isa"_a);
    m.def("use_prices", &use_prices, "isa"_a, "prices"_a);
    m.def("default_threads", &binarynet::default_threads);
    m.def("buffers_allocated", &binarynet::buffers_allocated);
    m.def("arithmetic_units", &binarynet::arithmetic_units);
    m.def("arithmetic_rate", &binarynet::arithmetic_rate, "unit"_a, "threads"_a,
          nb::call_guard<nb::gil_scoped_release>());
    m.def("read_rate", &binarynet::read_rate, "bytes"_a, "threads"_a,
          nb::call_guard<nb::gil_scoped_release>());

    m.def(
        "naive_conv3x3",
        [](nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu> image,
           nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu> weight,
           nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu> out) {
            const size_t height = image.shape(0), width = image.shape(1), channels = image.shape(2);
            const size_t filters = weight.shape(0);
            if (weight.shape(1) != 3 || weight.shape(2) != 3 || weight.shape(3) != channels ||
                out.shape(0) != height || out.shape(1) != width || out.shape(2) != filters)
                throw std::invalid_argument("shapes that do not belong together");
            nb::gil_scoped_release release;
            binarynet::naive_conv3x3(image.data(), height, width, channels, weight.data(), filters,
                                     out.data());
        },
        "image"_a, "weight"_a, "out"_a);

    nb::class_<Network>(m, "Network")
        .def(nb::init<const std::string&, int, const std::string&>(), "isa"_a = "", "threads"_a = 0,
             "kernel"_a = "")
        .def("add_input", &Network::add_input, "shape"_a, "encoding"_a)
        .def(
            "add_linear",
            [](Network& n, const std::string& name, int source, Array<uint64_t> weight,
               const std::string& encoding) { return n.add_linear(name, source, weights(weight, encoding)); },
            "name"_a, "source"_a, "weight"_a, "encoding"_a)
        .def(
            "add_linear_f32",
            [](Network& n, const std::string& name, int source, Array<float> weight) {
                return n.add_linear(name, source, copy(weight), weight.ndim() ? weight.shape(0) : 0);
            },
            "name"_a, "source"_a, "weight"_a)
        .def(
            "add_conv2d",
            [](Network& n, const std::string& name, int source, Array<uint64_t> weight,
               const std::string& encoding, Sides kernel, Sides stride, Sides dilation,
               std::pair<Sides, Sides> padding, int pad_value, size_t groups) {
                return n.add_conv2d(name, source, weights(weight, encoding),
                                    window(kernel, stride, dilation, padding), groups, pad_value);
            },
            "name"_a, "source"_a, "weight"_a, "encoding"_a, "kernel"_a, "stride"_a, "dilation"_a, "padding"_a,
            "pad_value"_a, "groups"_a)
        .def(
            "add_conv2d_f32",
            [](Network& n, const std::string& name, int source, Array<float> weight, Sides kernel,
               Sides stride, Sides dilation, std::pair<Sides, Sides> padding, int pad_value, size_t groups) {
                return n.add_conv2d(name, source, copy(weight), weight.ndim() ? weight.shape(0) : 0,
                                    window(kernel, stride, dilation, padding), groups, pad_value);
            },
            "name"_a, "source"_a, "weight"_a, "kernel"_a, "stride"_a, "dilation"_a, "padding"_a,
            "pad_value"_a, "groups"_a)
        .def(
            "add_threshold_i32",
            [](Network& n, const std::string& name, int source, Array<int32_t> thresholds, Array<bool> rising,
               const std::string& encoding) {
                auto made = table(rising, encoding);
                made.i32 = copy(thresholds);
                return n.add_threshold(name, source, std::move(made));
            },
            "name"_a, "source"_a, "thresholds"_a, "rising"_a, "encoding"_a)
        .def(
            "add_threshold_f32",
            [](Network& n, const std::string& name, int source, Array<float> thresholds, Array<bool> rising,
               const std::string& encoding) {
                auto made = table(rising, encoding);
                made.f32 = copy(thresholds);
                return n.add_threshold(name, source, std::move(made));
            },
            "name"_a, "source"_a, "thresholds"_a, "rising"_a, "encoding"_a)
        .def(
            "add_affine",
            [](Network& n, const std::string& name, int source, Array<float> scale, Array<float> offset) {
                return n.add_affine(name, source, {copy(scale), copy(offset)});
            },
            "name"_a, "source"_a, "scale"_a, "offset"_a)
        .def(
            "add_max_pool2d",
            [](Network& n, const std::string& name, int source, Sides kernel, Sides stride,
               std::pair<Sides, Sides> padding, Array<bool> minimum) {
                return n.add_max_pool2d(name, source, window(kernel, stride, {1, 1}, padding),
                                        {minimum.data(), minimum.data() + minimum.size()});
            },
            "name"_a, "source"_a, "kernel"_a, "stride"_a, "padding"_a, "minimum"_a)
        .def(
            "add_sum_pool2d",
            [](Network& n, const std::string& name, int source, Sides kernel, Sides stride,
               std::pair<Sides, Sides> padding) {
                return n.add_sum_pool2d(name, source, window(kernel, stride, {1, 1}, padding));
            },
            "name"_a, "source"_a, "kernel"_a, "stride"_a, "padding"_a)
        .def("add_add", &Network::add_add, "name"_a, "left"_a, "right"_a)
        .def("add_mul", &Network::add_mul, "name"_a, "source"_a, "factor"_a)
        .def("add_relu", &Network::add_relu, "name"_a, "source"_a)
        .def(
            "add_prelu",
            [](Network& n, const std::string& name, int source, Array<float> slope) {
                return n.add_prelu(name, source, copy(slope));
            },
            "name"_a, "source"_a, "slope"_a)
        .def("add_apply", &Network::add_apply, "name"_a, "source"_a, "function"_a)
        .def(
            "add_take",
            [](Network& n, const std::string& name, int source, Array<int32_t> rows, Array<int32_t> columns,
               Array<int32_t> channels) {
                return n.add_take(name, source, copy(rows), copy(columns), copy(channels));
            },
            "name"_a, "source"_a, "rows"_a, "columns"_a, "channels"_a)
        .def("add_concat", &Network::add_concat, "name"_a, "sources"_a)
        .def("add_flatten", &Network::add_flatten, "name"_a, "source"_a)
        .def("add_unflatten", &Network::add_unflatten, "name"_a, "source"_a, "shape"_a)
        .def("finish", &Network::finish, "output"_a)
        .def(
            "run", [](Network& n, Input input, Output output) { return run(n, input, output, nullptr); },
            "input"_a, "output"_a)
        .def("run_timed", &run_timed, "input"_a, "output"_a)
        .def("plan", &plan, "images"_a)
        .def_prop_ro("output_is_float", &Network::output_is_float)
        .def_prop_ro("output_numbers", &Network::output_numbers)
        .def_prop_ro("isa", [](const Network& n) { return std::string(n.kernels().name); })
        .def_prop_ro("threads", &Network::threads)
        .def_prop_ro("arena_bytes", &Network::arena_bytes)
        .def_prop_ro("weight_bytes", &Network::weight_bytes);
}
