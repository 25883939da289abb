// A model that a server keeps: one for all threads, each with its own part of the work.
//
//     embed_cpp MODEL.bnn IMAGES SKIP [ANSWERS]
//
// IMAGES: images as the model reads them, behind the first SKIP bytes. ANSWERS takes the answers, raw.
#include <binarynet.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kThreads = 8;

// A model with an owner, and errors as exceptions.
class Model {
 public:
    explicit Model(const std::string& path, int threads) : model_(load(path, threads), bnn_free) {}

    const bnn_value& input() const { return *bnn_inputs(model_.get()); }
    const bnn_value& output() const { return *bnn_outputs(model_.get()); }
    void run(const char* images, size_t count, char* answers) const {
        if (bnn_run(model_.get(), images, count, answers)) throw std::runtime_error(bnn_error());
    }

 private:
    static bnn_model* load(const std::string& path, int threads) {
        bnn_options options = BNN_OPTIONS;
        options.threads = threads;
        bnn_model* model;
        if (bnn_load(path.c_str(), &options, &model)) throw std::runtime_error(bnn_error());
        return model;
    }

    std::unique_ptr<bnn_model, void (*)(bnn_model*)> model_;
};

std::vector<char> contents(const std::string& path, size_t skip) {
    std::ifstream file(path, std::ios::binary);
    if (!file.seekg(static_cast<std::streamoff>(skip))) throw std::runtime_error(path + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc < 4) throw std::runtime_error("usage: embed_cpp MODEL.bnn IMAGES SKIP [ANSWERS]");
    const Model model(argv[1], 1);
    const std::vector<char> images = contents(argv[2], std::strtoul(argv[3], nullptr, 10));
    const size_t count = images.size() / model.input().bytes;
    std::vector<char> answers(count * model.output().bytes);

    std::vector<std::thread> threads;
    std::vector<std::string> faults(kThreads);
    for (size_t t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            const size_t begin = count * t / kThreads, end = count * (t + 1) / kThreads;
            try {
                model.run(images.data() + begin * model.input().bytes, end - begin,
                          answers.data() + begin * model.output().bytes);
            } catch (const std::exception& error) {
                faults[t] = error.what();
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const std::string& fault : faults)
        if (!fault.empty()) throw std::runtime_error(fault);

    std::cout << count << " images\n";
    if (argc > 4 && !std::ofstream(argv[4], std::ios::binary)
                         .write(answers.data(), static_cast<std::streamsize>(answers.size())))
        throw std::runtime_error(std::string(argv[4]) + ": cannot be written");
    return 0;
} catch (const std::exception& error) {
    std::cerr << "embed_cpp: " << error.what() << "\n";
    return 2;
}
