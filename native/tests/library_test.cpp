// The library through its C face, on the corpus: what `make check-sanitized` runs under ASan, UBSan and TSan.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "library/binarynet.h"
#include "library/sha256.h"

namespace {

namespace fs = std::filesystem;

constexpr size_t kImages = 5, kThreads = 8;

std::vector<fs::path> files(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".bnn") found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<char> contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

using Model = std::unique_ptr<bnn_model, void (*)(bnn_model*)>;

Model load(const fs::path& path, const char* isa, int threads) {
    bnn_options options = BNN_OPTIONS;
    options.isa = isa;
    options.threads = threads;
    bnn_model* model;
    const bnn_status status = bnn_load(path.c_str(), &options, &model);
    REQUIRE_MESSAGE(status == BNN_OK, bnn_error());
    return {model, bnn_free};
}

// Images that are codes, or reals, of the model.
std::vector<uint8_t> images(const bnn_value& input, size_t count) {
    std::vector<uint8_t> bytes(count * input.bytes);
    for (size_t i = 0; i < count * input.numbers; ++i) {
        const float real = (static_cast<float>((37 * i + 11) % 17) - 8) / 4;
        if (input.type == BNN_FLOAT32)
            std::memcpy(&bytes[4 * i], &real, 4);
        else
            bytes[i] = static_cast<uint8_t>((37 * i + 11) & static_cast<size_t>(input.highest));
    }
    return bytes;
}

// int32 and float alike, as they lie in memory.
std::vector<int32_t> answers(const Model& model, const std::vector<uint8_t>& given, size_t count) {
    std::vector<int32_t> room(count * bnn_outputs(model.get())->numbers);
    CHECK(bnn_run(model.get(), given.data(), count, room.data()) == BNN_OK);
    return room;
}

}  // namespace

TEST_CASE("every file of the corpus is taken, or refused for the reason of its folder") {
    for (const fs::path& path : files(BINARYNET_CORPUS)) {
        const std::string kind = path.parent_path().filename();
        const std::vector<char> bytes = contents(path);
        bnn_model* model;
        const bnn_status status = bnn_load_bytes(bytes.data(), bytes.size(), nullptr, &model);
        CHECK_MESSAGE(bnn_status_name(status) == kind, path.string() << ": " << bnn_error());
        CHECK((model == nullptr) == (status != BNN_OK));
        bnn_free(model);
    }
}

TEST_CASE("every instruction set gives one answer, from eight threads at once") {
    for (const fs::path& path : files(fs::path(BINARYNET_CORPUS) / "ok")) {
        const Model plain = load(path, "portable", 1);
        const auto given = images(*bnn_inputs(plain.get()), kImages);
        const auto expected = answers(plain, given, kImages);
        for (size_t k = 0; const char* isa = bnn_isas(k); ++k) {
            const Model model = load(path, isa, 2);
            CHECK(std::string(bnn_isa(model.get())) == isa);
            std::vector<std::thread> threads;
            std::vector<char> equal(kThreads, 0);
            for (size_t t = 0; t < kThreads; ++t)
                threads.emplace_back([&, t] { equal[t] = answers(model, given, kImages) == expected; });
            for (std::thread& thread : threads) thread.join();
            CHECK_MESSAGE(std::count(equal.begin(), equal.end(), 1) == kThreads, path.string()
                                                                                     << " on " << isa);
        }
    }
}

TEST_CASE("SHA-256 is that of FIPS 180-4, however the bytes come") {
    const auto digits = [](const std::string& text, size_t piece) {
        binarynet::Sha256 sum;
        for (size_t at = 0; at < text.size(); at += piece)
            sum.update(text.data() + at, std::min(piece, text.size() - at));
        return sum.digits();
    };
    for (size_t piece : {1, 7, 55, 64, 65, 1000}) {
        CHECK(digits("", piece) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        CHECK(digits("abc", piece) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        CHECK(digits("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", piece) ==
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        CHECK(digits(std::string(1'000'000, 'a'), piece) ==
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}
