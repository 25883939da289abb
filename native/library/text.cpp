#include "library/text.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace binarynet {

namespace {

constexpr size_t kLongestName = 1000, kLongestMessage = 4000, kLongestQuote = 300;

struct Range {
    uint32_t first, last;
};

// Unicode's categories Cc, Cf, Zl and Zp; well-formed UTF-8 holds none of Cs. tests/library compares this
// with what Python knows.
constexpr std::array<Range, 23> kControl{{
    {0x0, 0x1F},        {0x7F, 0x9F},       {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},
    {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},     {0x8E2, 0x8E2},     {0x180E, 0x180E},
    {0x200B, 0x200F},   {0x2028, 0x202E},   {0x2060, 0x2064},   {0x2066, 0x206F},   {0xFEFF, 0xFEFF},
    {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
}};

bool is_control(uint32_t character) {
    for (const Range& range : kControl)
        if (character >= range.first && character <= range.last) return true;
    return false;
}

// The character that begins at `at`, which is moved behind it. Bytes that are none stand for themselves.
uint32_t next(const std::string& text, size_t& at) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t lead = byte(at++);
    const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (at + more > text.size()) return lead;
    uint32_t character = more ? lead & (0x3Fu >> more) : lead;
    for (size_t i = 0; i < more; ++i) character = character << 6 | (byte(at++) & 0x3F);
    return character;
}

std::string hexadecimal(const char* form, uint32_t number) {
    char text[16];
    std::snprintf(text, sizeof(text), form, number);
    return text;
}

}  // namespace

std::string unfit(const std::string& name) {
    if (name.empty()) return "is empty";
    size_t characters = 0;
    uint32_t bad = 0;
    bool found = false;
    for (size_t at = 0; at < name.size(); ++characters) {
        const uint32_t character = next(name, at);
        if (found || !is_control(character)) continue;
        bad = character;
        found = true;
    }
    if (characters > kLongestName)
        return "has " + std::to_string(characters) + " characters; 1000 are allowed";
    return found ? "holds the control character " + hexadecimal("U+%04X", bad) : "";
}

std::string printable(const std::string& text) {
    std::string shown;
    for (size_t at = 0; at < text.size();) {
        if (shown.size() > kLongestMessage) return shown + "…";
        const size_t begin = at;
        const uint32_t character = next(text, at);
        if (is_control(character))
            shown += hexadecimal(character < 0x100     ? "\\x%02x"
                                 : character < 0x10000 ? "\\u%04x"
                                                       : "\\U%08x",
                                 character);
        else
            shown.append(text, begin, at - begin);
    }
    return shown;
}

std::string in_quotes(const std::string& text) {
    size_t end = 0;
    while (end < text.size() && end < kLongestQuote) next(text, end);
    std::string quote = "'";
    quote.append(text, 0, end).append(end < text.size() ? "…'" : "'");
    return quote;
}

}  // namespace binarynet
