// bnn: classify raw files without Python. Uses nothing but the C face.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "library/binarynet.h"

namespace {

constexpr const char* kUsage =
    R"(usage: bnn [options] MODEL.bnn [FILE …]

Classifies images: one line each, with file, number in the file, class, and its name where the model has names.
A FILE holds images one behind the other as the model reads them, in the order height, width, channels, a byte or
a float32 a number; - is standard input. Without a FILE, says what the model reads and answers.

  --skip N       leave out the first N bytes of each file (16: the header of MNIST's images)
  --logits       print the numbers of the answer instead of the class
  --isa NAME     an instruction set; default: the best of this CPU
  --threads N    default: all CPUs
  --sha256 HEX   the one model that is meant
  --version
)";
constexpr int kWrong = 2;
constexpr size_t kAtOnce = 256;  // images

int complain(const std::string& why) {
    std::fprintf(stderr, "bnn: %s\n", why.c_str());
    return kWrong;
}

struct Given {
    bnn_options options = BNN_OPTIONS;
    size_t skip = 0;
    bool logits = false;
    std::vector<const char*> names;
};

bool number(const char* text, size_t most, size_t& value) {
    char* end = nullptr;
    errno = 0;
    const unsigned long long read = std::strtoull(text, &end, 10);
    value = static_cast<size_t>(read);
    return *text >= '0' && *text <= '9' && !*end && !errno && read <= most;
}

void print_value(const char* what, const bnn_value& value) {
    std::printf("%s ", what);
    for (size_t i = 0; i < value.rank; ++i) std::printf("%s%zu", i ? " x " : "", value.shape[i]);
    std::printf(" %s, %zu bytes an image\n", value.encoding, value.bytes);
}

void print_answer(const bnn_model* model, const Given& given, const char* file, size_t image,
                  const uint8_t* answer) {
    const bnn_value& output = *bnn_outputs(model);
    std::printf("%s\t%zu", file, image);
    size_t best = 0;
    double highest = 0;
    for (size_t i = 0; i < output.numbers; ++i) {
        double value;
        if (output.type == BNN_FLOAT32) {
            float real;
            std::memcpy(&real, answer + 4 * i, 4);
            value = real;
            if (given.logits) std::printf("\t%.9g", value);
        } else {
            int32_t whole;
            std::memcpy(&whole, answer + 4 * i, 4);
            value = whole;
            if (given.logits) std::printf("\t%d", whole);
        }
        if (i && (i >= bnn_answer(model, 0)->numbers || !(value > highest))) continue;
        best = i;
        highest = value;
    }
    if (!given.logits) {
        const char* name = bnn_class_name(model, best);
        std::printf(name ? "\t%zu\t%s" : "\t%zu", best, name);
    }
    std::printf("\n");
}

// The exit code of one file.
int classify(const bnn_model* model, const Given& given, const char* name) {
    const bnn_value &input = *bnn_inputs(model), &output = *bnn_outputs(model);
    const bool piped = !std::strcmp(name, "-");
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
        piped ? stdin : std::fopen(name, "rb"), [](std::FILE* f) { return f == stdin ? 0 : std::fclose(f); });
    if (!file) return complain(std::string(name) + ": " + std::strerror(errno));
    for (size_t i = 0; i < given.skip; ++i)
        if (std::fgetc(file.get()) == EOF)
            return complain(std::string(name) + ": ends before the " + std::to_string(given.skip) +
                            " bytes of --skip");
    std::vector<uint8_t> images(kAtOnce * input.bytes), answers(kAtOnce * output.bytes);
    for (size_t done = 0;;) {
        const size_t got = std::fread(images.data(), 1, images.size(), file.get());
        if (std::ferror(file.get())) return complain(std::string(name) + ": " + std::strerror(errno));
        const size_t count = got / input.bytes;
        if (bnn_run(model, images.data(), count, answers.data()))
            return complain(std::string(name) + ": from image " + std::to_string(done) +
                            " on: " + bnn_error());
        for (size_t i = 0; i < count; ++i, ++done)
            print_answer(model, given, name, done, answers.data() + i * output.bytes);
        if (got % input.bytes)
            return complain(std::string(name) + ": " + std::to_string(got % input.bytes) +
                            " bytes are left over; an image has " + std::to_string(input.bytes) +
                            " (a header is left out by --skip)");
        if (got < images.size()) {
            if (!done) return complain(std::string(name) + ": holds no image");
            return 0;
        }
    }
}

}  // namespace

int main(int count, char** words) {
    Given given;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout), 0;
        if (word == "--version") return std::printf("bnn %s\n", bnn_version()), 0;
        if (word == "--logits") {
            given.logits = true;
        } else if (word == "--skip" || word == "--isa" || word == "--threads" || word == "--sha256") {
            if (++i == count) return complain(word + " needs a value; see bnn --help");
            size_t value = 0;
            if ((word == "--skip" && !number(words[i], 1 << 30, given.skip)) ||
                (word == "--threads" && !number(words[i], 4096, value)))
                return complain(word + " " + words[i] + ": is no number that it takes; see bnn --help");
            if (word == "--threads") given.options.threads = static_cast<int>(value);
            if (word == "--isa") given.options.isa = words[i];
            if (word == "--sha256") given.options.sha256 = words[i];
        } else if (word.size() > 1 && word[0] == '-') {
            return complain("there is no option " + word + "; see bnn --help");
        } else {
            given.names.push_back(words[i]);
        }
    }
    if (given.names.empty()) return std::fputs(kUsage, stderr), kWrong;
    bnn_model* loaded = nullptr;
    if (bnn_load(given.names[0], &given.options, &loaded)) return complain(bnn_error());
    const std::unique_ptr<bnn_model, void (*)(bnn_model*)> model(loaded, bnn_free);
    if (given.names.size() == 1) {
        print_value("reads  ", *bnn_inputs(loaded));
        for (size_t i = 0; i < bnn_answers(loaded); ++i) {
            const std::string name =
                bnn_answers(loaded) > 1 ? std::string(" ") + bnn_answer_name(loaded, i) : "";
            print_value(("answers" + name).c_str(), *bnn_answer(loaded, i));
        }
        std::printf("runs on %s, %d threads\n", bnn_isa(loaded), bnn_threads(loaded));
        return 0;
    }
    for (size_t i = 1; i < given.names.size(); ++i)
        if (const int code = classify(loaded, given, given.names[i])) return code;
    return std::fflush(stdout) || std::ferror(stdout) ? complain("the output cannot be written") : 0;
}
