// The C++ reader for tests and fuzzing: files in on standard input, verdicts out, one line each.
//
//     in     length (4 bytes, little-endian), the file
//     out    the kind of error; or "ok", and the answers to two images as hexadecimal digits, if they are
//     cheap
//
// The images: number i of all is (37 i + 11) mod 256, cut to the codes of the input; of reals, that mod 17 −
// 8, divided by 4.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "library/binarynet.h"
#include "library/reader.h"

namespace {

constexpr size_t kImages = 2;
constexpr uint64_t kCheap = 200'000;  // numbers, and products

bool is_cheap(const std::vector<uint8_t>& file) {
    binarynet::Limits few;
    few.values = few.macs = kCheap;
    try {
        binarynet::read_model(file.data(), file.size(), few);
    } catch (const binarynet::Fault&) {
        return false;
    }
    return true;
}

std::string verdict(const std::vector<uint8_t>& file) {
    bnn_options options = BNN_OPTIONS;
    options.threads = 1;
    try {  // without the engine first: what only costs much to run is a good file, too
        binarynet::read_model(file.data(), file.size(), {});
    } catch (const binarynet::Fault& fault) {
        return bnn_status_name(fault.status());
    }
    if (!is_cheap(file)) return "ok";
    bnn_model* model;
    if (const bnn_status status = bnn_load_bytes(file.data(), file.size(), &options, &model))
        return bnn_status_name(status);
    const bnn_value &input = *bnn_inputs(model), &output = *bnn_outputs(model);
    std::vector<uint8_t> codes(kImages * input.numbers);
    std::vector<float> reals(codes.size());
    for (size_t i = 0; i < codes.size(); ++i) {
        const unsigned drawn = (37 * i + 11) % 256;
        codes[i] = static_cast<uint8_t>(drawn & static_cast<unsigned>(input.highest));
        reals[i] = (static_cast<float>(drawn % 17) - 8) / 4;
    }
    std::vector<int32_t> answers(kImages * output.numbers);
    const void* images = input.type == BNN_FLOAT32 ? static_cast<const void*>(reals.data()) : codes.data();
    const bnn_status status = bnn_run(model, images, kImages, answers.data());
    bnn_free(model);
    if (status) return bnn_status_name(status);
    std::string line = "ok ";
    for (const int32_t answer : answers) {
        char digits[9];
        std::snprintf(digits, sizeof(digits), "%08x", static_cast<unsigned>(answer));
        line += digits;
    }
    return line;
}

}  // namespace

int main() {
    uint32_t length;
    while (std::fread(&length, 4, 1, stdin) == 1) {
        std::vector<uint8_t> file(length);
        if (length && std::fread(file.data(), 1, length, stdin) != length) return 1;
        std::puts(verdict(file).c_str());
        std::fflush(stdout);
    }
}
