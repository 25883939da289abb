// What a stored code means as a number: the table of docs/format.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace binarynet {

struct Encoding {
    char kind = 'i';  // b u i t f
    int bits = 32;

    static std::optional<Encoding> parse(const std::string& name);

    bool operator==(const Encoding&) const = default;
    bool is_float() const { return kind == 'f'; }
    int64_t low() const {
        return kind == 'b'   ? 1 - (int64_t{1} << bits)
               : kind == 'u' ? 0
               : kind == 't' ? -1
                             : -(int64_t{1} << (bits - 1));
    }
    int64_t high() const {
        return kind == 't' ? 1 : kind == 'i' ? (int64_t{1} << (bits - 1)) - 1 : (int64_t{1} << bits) - 1;
    }
    int64_t step() const { return kind == 'b' ? 2 : 1; }
    // How many values there are; a threshold has one level less.
    int64_t count() const { return (high() - low()) / step() + 1; }
    int64_t magnitude() const { return -low() > high() ? -low() : high(); }
    std::string name() const { return kind + std::to_string(bits); }
};

inline constexpr Encoding kI32{'i', 32}, kF32{'f', 32};

inline std::optional<Encoding> Encoding::parse(const std::string& name) {
    if (name == "t2") return Encoding{'t', 2};
    if (name == "i32") return kI32;
    if (name == "f32") return kF32;
    if (name.size() != 2 || name[1] < '1' || name[1] > '8') return std::nullopt;
    const bool known = name[0] == 'b' || name[0] == 'u' || (name[0] == 'i' && name[1] > '1');
    return known ? std::optional(Encoding{name[0], name[1] - '0'}) : std::nullopt;
}

}  // namespace binarynet
