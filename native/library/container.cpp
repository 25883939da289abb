#include "library/container.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>
#include <vector>

#include "library/json.h"
#include "library/sha256.h"
#include "library/text.h"

namespace binarynet {

namespace {

static_assert(std::endian::native == std::endian::little, "the numbers of a file are little-endian");

constexpr uint64_t kMostHeader = uint64_t{1} << 23;
constexpr size_t kMostSizes = 4;
constexpr std::string_view kKey = "binarynet", kMetadata = "__metadata__";

[[noreturn]] void refuse(const std::string& why) {
    throw Fault(BNN_SAFETENSORS, "not a safetensors file, " + why);
}

uint64_t header_bytes(const uint8_t* bytes, size_t count) {
    uint64_t length = 0;
    if (count >= 8) std::memcpy(&length, bytes, 8);
    if (count < 8 || !length || length > count - 8)
        refuse("or not whole (" + std::to_string(count) + " bytes)");
    if (length > kMostHeader)
        throw Fault(BNN_SAFETENSORS, "the header has " + std::to_string(length) + " bytes, the limit is " +
                                         std::to_string(kMostHeader));
    return length;
}

Sizes sizes(const std::string& name, const Json& list, const char* what) {
    Sizes found;
    if (list.is_array())
        for (const Json& size : list)
            if (size.is_number_integer() && size.get<int64_t>() >= 0) found.push_back(size.get<int64_t>());
    if (!list.is_array() || found.size() != list.size())
        refuse("tensor " + in_quotes(name) + ": " + what + " is no list of whole numbers from 0 on");
    return found;
}

struct Entry {
    std::string name;
    Tensor tensor;
    int64_t begin, end;
};

Entry read_entry(const std::string& name, const Json& entry) {
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
        !entry.contains("data_offsets"))
        refuse("tensor " + in_quotes(name) + " needs exactly the keys data_offsets, dtype, shape");
    Tensor tensor;
    const std::string dtype = entry["dtype"].is_string() ? entry["dtype"].get<std::string>() : "no text";
    const auto type = dtype == "U64"   ? std::optional(Tensor::u64)
                      : dtype == "I32" ? std::optional(Tensor::i32)
                      : dtype == "F32" ? std::optional(Tensor::f32)
                                       : std::nullopt;
    if (!type)
        throw Fault(BNN_SAFETENSORS,
                    "tensor " + in_quotes(name) + " is " + in_quotes(dtype) + "; a .bnn holds U64, I32, F32");
    tensor.type = *type;
    tensor.shape = sizes(name, entry["shape"], "shape");
    if (tensor.shape.empty() || tensor.shape.size() > kMostSizes || !all_positive(tensor.shape))
        throw Fault(BNN_SAFETENSORS, "tensor " + in_quotes(name) + " has the shape " + shown(tensor.shape) +
                                         "; it takes 1 to 4 positive sizes");
    const Sizes offsets = sizes(name, entry["data_offsets"], "data_offsets");
    if (offsets.size() != 2) refuse("tensor " + in_quotes(name) + ": data_offsets are two numbers");
    return {name, std::move(tensor), offsets[0], offsets[1]};
}

}  // namespace

std::string shown(const Sizes& sizes) {
    std::string text = "[";
    for (size_t i = 0; i < sizes.size() && i < 16; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
    return text + (sizes.size() > 16 ? ", …]" : "]");
}

std::string Tensor::text() const {
    return std::string(type == u64 ? "U64 " : type == i32 ? "I32 " : "F32 ") + shown(shape);
}

Container open_container(const uint8_t* bytes, size_t count) {
    const uint64_t length = header_bytes(bytes, count);
    const std::string_view text(reinterpret_cast<const char*>(bytes) + 8, length);
    const Json header = parse_json(text, "not a safetensors file, or damaged: the header", BNN_SAFETENSORS);
    if (!header.is_object() || text[0] != '{') refuse("the header is not a JSON object that begins at once");

    std::vector<Entry> entries;
    for (const auto& [name, entry] : header.items())
        if (name != kMetadata) entries.push_back(read_entry(name, entry));
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    const uint64_t data = count - 8 - length;
    Container found;
    uint64_t next = 0;
    for (Entry& entry : entries) {
        const uint64_t size = times(product(entry.tensor.shape), entry.tensor.type == Tensor::u64 ? 8 : 4);
        if (static_cast<uint64_t>(entry.begin) != next || entry.end < entry.begin ||
            static_cast<uint64_t>(entry.end) - next != size)
            refuse("tensor " + in_quotes(entry.name) +
                   " does not lie behind the one before it, or is not as long as its shape");
        if (static_cast<uint64_t>(entry.end) > data)
            refuse("or not whole (" + std::to_string(count) + " bytes)");
        entry.tensor.bytes = bytes + 8 + length + next;
        next = static_cast<uint64_t>(entry.end);
        found.tensors.emplace(std::move(entry.name), std::move(entry.tensor));
    }
    if (next != data) refuse("or not whole: " + std::to_string(data - next) + " bytes belong to no tensor");

    const auto metadata = header.find(kMetadata);
    if (metadata == header.end() || !metadata->is_object() || metadata->size() != 1 ||
        !metadata->contains(kKey))
        throw Fault(BNN_SAFETENSORS,
                    "no binarynet model: the metadata must hold the one key 'binarynet', and nothing else");
    const Json& graph = (*metadata)[kKey];
    if (!graph.is_string()) refuse("the metadata is no text");
    found.graph = graph.get<std::string>();
    return found;
}

std::string checksum(const uint8_t* bytes, size_t count) {
    constexpr std::string_view kMark = "\\\"sha256\\\":\\\"", kBehind = "\\\"";
    constexpr size_t kDigits = 64;
    const std::string_view header(reinterpret_cast<const char*>(bytes), 8 + header_bytes(bytes, count));
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    for (size_t at = header.find(kMark); at != header.npos; at = header.find(kMark, at + 1)) {
        const size_t digits = at + kMark.size(), behind = digits + kDigits;
        if (behind + kBehind.size() > header.size() || header.substr(behind, kBehind.size()) != kBehind ||
            !std::all_of(header.begin() + static_cast<std::ptrdiff_t>(digits),
                         header.begin() + static_cast<std::ptrdiff_t>(behind), is_digit))
            continue;
        Sha256 content;
        content.update(bytes, digits);
        content.update(std::string(kDigits, '0').data(), kDigits);
        content.update(bytes + behind, count - behind);
        return content.digits();
    }
    throw Fault(BNN_CHECKSUM, "the header has no sha256 of 64 hexadecimal digits");
}

}  // namespace binarynet
