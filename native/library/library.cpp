// The C face: options in, a model out, and no exception past this file.
#include <atomic>
#include <cmath>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>

#include "kernels/dispatch.h"
#include "library/binarynet.h"
#include "library/build.h"
#include "library/fault.h"
#include "library/file.h"
#include "library/reader.h"
#include "library/sha256.h"
#include "library/text.h"
#include "network/network.h"

#ifndef BINARYNET_VERSION
#define BINARYNET_VERSION "unknown"
#endif

using binarynet::Fault;

// The network is changed by no run, but its spare memory is.
struct bnn_model {
    std::unique_ptr<binarynet::Network> network;
    std::vector<std::string> classes;
    bnn_value input{}, output{};
    std::string input_encoding, output_encoding;
    std::vector<std::string> names;  // of the answers
    std::vector<bnn_value> answers;
};

namespace {

thread_local std::string last_error;

// Whatever is thrown inside becomes a status and a line of bnn_error. `where` stands before it.
template <class Body>
bnn_status guarded(const std::string& where, Body&& body) noexcept {
    bnn_status status = BNN_INTERNAL;
    try {
        std::string text;
        try {
            body();
            return BNN_OK;
        } catch (const Fault& fault) {
            status = fault.status();
            text = fault.what();
        } catch (const std::invalid_argument& error) {  // of the engine
            status = BNN_UNAVAILABLE;
            text = error.what();
        } catch (const std::bad_alloc&) {
            status = BNN_MEMORY;
            text = "not enough memory";
        } catch (const std::length_error& error) {
            status = BNN_MEMORY;
            text = error.what();
        } catch (const std::exception& error) {
            text = error.what();
        } catch (...) {
            text = "an unknown fault";
        }
        last_error = binarynet::printable(where.empty() ? text : where + ": " + text);
    } catch (...) {  // no memory for the text either
        last_error.clear();
    }
    return status;
}

// The caller's options, or the defaults: of a caller that knew fewer, what stands behind them is not read.
bnn_options complete(const bnn_options* given) {
    bnn_options options = BNN_OPTIONS;
    if (!given) return options;
    if (given->size < offsetof(bnn_options, isa) + sizeof(given->isa) || given->size > 4096)
        throw Fault(BNN_ARGUMENT, "options: begin with bnn_options options = BNN_OPTIONS");
    std::memcpy(&options, given, std::min(given->size, sizeof(options)));
    if (options.threads < 0 || options.threads > 4096)
        throw Fault(BNN_ARGUMENT, "options: threads is " + std::to_string(options.threads) +
                                      "; give 1 to 4096, or 0 for the default");
    return options;
}

binarynet::Limits limits(const bnn_options& options) {
    binarynet::Limits most = binarynet::Limits::of_environment();
    if (options.most_ops) most.ops = options.most_ops;
    if (options.most_values) most.values = options.most_values;
    if (options.most_macs) most.macs = options.most_macs;
    if (options.most_memory) most.memory = options.most_memory;
    most.values =
        std::min<uint64_t>(most.values, SIZE_MAX / 2);  // what addresses reach: 32 bits in WebAssembly
    most.memory = std::min<uint64_t>(most.memory, SIZE_MAX / 2);
    return most;
}

void check_whole(const uint8_t* bytes, size_t count, const char* wanted) {
    std::string digits = wanted;
    for (char& digit : digits)
        if (digit >= 'A' && digit <= 'F') digit = static_cast<char>(digit + ('a' - 'A'));
    if (digits.size() != 64 || digits.find_first_not_of("0123456789abcdef") != digits.npos)
        throw Fault(BNN_ARGUMENT, "options: sha256 takes 64 hexadecimal digits, as sha256sum prints them");
    binarynet::Sha256 whole;
    whole.update(bytes, count);
    if (const std::string actual = whole.digits(); actual != digits)
        throw Fault(BNN_FILE, "is another file than the one that is meant: its SHA-256 is " + actual);
}

bnn_value describe(const binarynet::ValueType& type, const std::string& encoding, bnn_type stored) {
    bnn_value value{};
    value.type = stored;
    value.encoding = encoding.c_str();
    value.rank = type.shape.size();
    for (size_t i = 0; i < 3; ++i) value.shape[i] = i < value.rank ? static_cast<size_t>(type.shape[i]) : 1;
    value.numbers = value.shape[0] * value.shape[1] * value.shape[2];
    value.bytes = value.numbers * (stored == BNN_UINT8 ? 1 : 4);
    value.highest = stored == BNN_UINT8 ? (1 << type.encoding.bits) - 1 : 0;
    return value;
}

// The graph that ends in another op: that one, and what it is made of.
void end_in(binarynet::Graph& graph, const std::string& name) {
    std::set<std::string> needed{name};
    std::vector<binarynet::Op> ops;
    for (auto op = graph.ops.rbegin(); op != graph.ops.rend(); ++op) {
        if (!needed.count(op->name)) continue;
        needed.insert(op->sources.begin(), op->sources.end());
        ops.insert(ops.begin(), *op);
    }
    if (ops.empty())
        throw Fault(BNN_ARGUMENT, "options: output: no op is called " + binarynet::in_quotes(name));
    if (ops.size() == 1)
        throw Fault(BNN_ARGUMENT, "options: output: " + binarynet::in_quotes(name) + " is the input itself");
    if (name != graph.ops.back().name) graph.meta.erase("classes");  // they name the numbers of the last
    graph.ops = std::move(ops);
}

std::unique_ptr<bnn_model> make(const uint8_t* bytes, size_t count, const bnn_options& options) {
    if (options.sha256) check_whole(bytes, count, options.sha256);
    binarynet::Model read = binarynet::read_model(bytes, count, limits(options));
    if (options.output) end_in(read.graph, options.output);
    auto model = std::make_unique<bnn_model>();
    model->network = std::make_unique<binarynet::Network>(options.isa ? options.isa : "", options.threads,
                                                          options.kernel ? options.kernel : "");
    binarynet::build(*model->network, read.graph);
    model->classes = read.graph.classes();
    const binarynet::ValueType& input = read.types.at(read.graph.ops.front().name);
    const binarynet::ValueType& output = read.types.at(read.graph.ops.back().name);
    model->input_encoding = input.encoding.name();
    model->output_encoding = output.encoding.name();
    model->input =
        describe(input, model->input_encoding, input.encoding.is_float() ? BNN_FLOAT32 : BNN_UINT8);
    model->output =
        describe(output, model->output_encoding, output.encoding.is_float() ? BNN_FLOAT32 : BNN_INT32);
    for (const binarynet::Output& one : read.graph.outputs) {
        model->names.push_back(one.name);
        model->answers.push_back(
            describe({one.shape, output.encoding}, model->output_encoding, model->output.type));
    }
    if (model->answers.empty()) {
        model->names.emplace_back("logits");
        model->answers.push_back(model->output);
    }
    return model;
}

bool is_aligned(const void* place, bnn_type type) {
    return type == BNN_UINT8 || reinterpret_cast<uintptr_t>(place) % alignof(float) == 0;
}

// Says which number of the images is none that the model takes.
void check_numbers(const bnn_model& model, const void* images, size_t count) {
    const size_t numbers = model.input.numbers;
    for (size_t i = 0; i < count * numbers; ++i) {
        const std::string place =
            "image " + std::to_string(i / numbers) + ", number " + std::to_string(i % numbers) + ": ";
        if (model.input.type == BNN_FLOAT32 && !std::isfinite(static_cast<const float*>(images)[i]))
            throw Fault(BNN_INPUT, place + "is not finite");
        if (model.input.type == BNN_UINT8 && static_cast<const uint8_t*>(images)[i] > model.input.highest)
            throw Fault(BNN_INPUT, place + std::to_string(static_cast<const uint8_t*>(images)[i]) +
                                       " is no code 0 … " + std::to_string(model.input.highest) + " of " +
                                       model.input_encoding);
    }
}

bool all_finite(const float* numbers, size_t count) {
    bool finite = true;
    for (size_t i = 0; i < count; ++i) finite &= std::isfinite(numbers[i]);
    return finite;
}

void run(const bnn_model* model, const void* images, size_t count, void* answers) {
    if (!model || (count && (!images || !answers))) throw Fault(BNN_ARGUMENT, "bnn_run: a pointer is NULL");
    if (count > SIZE_MAX / std::max(model->input.bytes, model->output.bytes))
        throw Fault(BNN_ARGUMENT, "bnn_run: so many images fit no memory");
    if (!is_aligned(images, model->input.type) || !is_aligned(answers, model->output.type))
        throw Fault(BNN_ARGUMENT, "bnn_run: int32 and float must be aligned to 4 bytes");
    const bool fit = model->input.type != BNN_FLOAT32 ||
                     all_finite(static_cast<const float*>(images), count * model->input.numbers);
    if (!fit || !model->network->run(images, count, answers)) check_numbers(*model, images, count);
}

template <typename T>
size_t largest(const T* answer, size_t numbers) {
    size_t best = 0;
    for (size_t i = 1; i < numbers; ++i)
        if (answer[i] > answer[best]) best = i;
    return best;
}

// A few images at a time, so that the answers of a million need no memory of their own.
void classify(const bnn_model* model, const void* images, size_t count, size_t* classes) {
    if (!model || (count && (!images || !classes)))
        throw Fault(BNN_ARGUMENT, "bnn_classify: a pointer is NULL");
    const size_t numbers = model->output.numbers, first = model->answers.front().numbers,
                 most = std::min<size_t>(count, 1024);
    std::vector<int32_t> memory(most * numbers);
    for (size_t begin = 0; begin < count; begin += most) {
        const size_t part = std::min(most, count - begin);
        run(model, static_cast<const uint8_t*>(images) + begin * model->input.bytes, part, memory.data());
        for (size_t i = 0; i < part; ++i) {
            const int32_t* answer = memory.data() + i * numbers;
            if (model->output.type == BNN_INT32) {
                classes[begin + i] = largest(answer, first);
                continue;
            }
            std::vector<float> reals(first);
            std::memcpy(reals.data(), answer, first * sizeof(float));
            classes[begin + i] = largest(reals.data(), first);
        }
    }
}

}  // namespace

extern "C" {

bnn_status bnn_load(const char* path, const bnn_options* options, bnn_model** model) {
    if (model) *model = nullptr;
    return guarded(path ? path : "", [&] {
        if (!path || !model) throw Fault(BNN_ARGUMENT, "bnn_load: a pointer is NULL");
        const bnn_options all = complete(options);
        const std::vector<uint8_t> bytes = binarynet::read_file(path, limits(all).memory);
        *model = make(bytes.data(), bytes.size(), all).release();
    });
}

bnn_status bnn_load_bytes(const void* bytes, size_t count, const bnn_options* options, bnn_model** model) {
    if (model) *model = nullptr;
    return guarded("", [&] {
        if ((!bytes && count) || !model) throw Fault(BNN_ARGUMENT, "bnn_load_bytes: a pointer is NULL");
        *model = make(static_cast<const uint8_t*>(bytes), count, complete(options)).release();
    });
}

void bnn_free(bnn_model* model) {
    delete model;
}

const bnn_value* bnn_inputs(const bnn_model* model) {
    return model ? &model->input : nullptr;
}
const bnn_value* bnn_outputs(const bnn_model* model) {
    return model ? &model->output : nullptr;
}
size_t bnn_answers(const bnn_model* model) {
    return model ? model->answers.size() : 0;
}
const char* bnn_answer_name(const bnn_model* model, size_t index) {
    return model && index < model->names.size() ? model->names[index].c_str() : nullptr;
}
const bnn_value* bnn_answer(const bnn_model* model, size_t index) {
    return model && index < model->answers.size() ? &model->answers[index] : nullptr;
}

bnn_status bnn_run(const bnn_model* model, const void* images, size_t count, void* answers) {
    return guarded("", [&] { run(model, images, count, answers); });
}

bnn_status bnn_classify(const bnn_model* model, const void* images, size_t count, size_t* classes) {
    return guarded("", [&] { classify(model, images, count, classes); });
}

const char* bnn_class_name(const bnn_model* model, size_t index) {
    return model && index < model->classes.size() ? model->classes[index].c_str() : nullptr;
}

const char* bnn_isa(const bnn_model* model) {
    return model ? model->network->kernels().name : nullptr;
}
int bnn_threads(const bnn_model* model) {
    return model ? model->network->threads() : 0;
}

const char* bnn_isas(size_t index) {
    const char* name = nullptr;
    guarded("", [&] {
        const auto& all = binarynet::available_kernels();
        if (index < all.size()) name = all[index]->name;
    });
    return name;
}

const char* bnn_error(void) {
    return last_error.c_str();
}

const char* bnn_status_name(bnn_status status) {
    static const char* const names[] = {"ok",       "file",   "safetensors", "json",   "version",
                                        "checksum", "fields", "tensors",     "rules",  "limits",
                                        "argument", "input",  "unavailable", "memory", "internal"};
    const auto index = static_cast<size_t>(status);
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown";
}

const char* bnn_version(void) {
    return BINARYNET_VERSION;
}

}  // extern "C"
