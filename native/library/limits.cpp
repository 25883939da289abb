#include "library/limits.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "library/fault.h"
#include "library/ops.h"
#include "library/text.h"

namespace binarynet {

namespace {

constexpr const char* kVariable = "BINARYNET_LIMITS";

std::string trimmed(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t\n\r"), last = text.find_last_not_of(" \t\n\r");
    return first == text.npos ? "" : text.substr(first, last - first + 1);
}

// A number such as 1e12, cut to a whole one.
bool read(const std::string& text, uint64_t& number) {
    if (text.empty() || text.find_first_not_of("0123456789.eE+-_") != text.npos) return false;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (*end || !std::isfinite(value)) return false;
    number = value <= 0 ? 0 : value >= 0x1p64 ? UINT64_MAX : static_cast<uint64_t>(value);
    return true;
}

uint64_t padded(const Op& op, const std::map<std::string, ValueType>& types) {
    const auto& [rows, columns] = op.padding;
    if (!(rows[0] || rows[1] || columns[0] || columns[1])) return 0;
    const Sizes& image = types.at(op.sources[0]).shape;
    return times(times(static_cast<uint64_t>(image[0] + rows[0] + rows[1]),
                       static_cast<uint64_t>(image[1] + columns[0] + columns[1])),
                 static_cast<uint64_t>(image[2]));
}

uint64_t weights(const Op& op) {
    return op.weight.shape.empty() ? 0 : times(product(op.weight.shape), op.weight_encoding == "f32" ? 4 : 1);
}

struct Count {
    const char* name;
    const char* unit;
    uint64_t asked, most;
};

[[noreturn]] void refuse(const std::string& where, const std::vector<Count>& counts) {
    std::string what, way;
    for (const Count& count : counts) {
        if (count.asked <= count.most) continue;
        const std::string asked = std::to_string(count.asked);
        if (!what.empty()) what += " and ", way += ",";
        what += asked + " " + count.unit + " of " + std::to_string(count.most);
        way.append(count.name).append("=").append(asked);
    }
    throw Fault(BNN_LIMITS, where + ": here the model asks for more than it may; in all, for one image, " +
                                what + ". If you trust the file, raise the limits of its options, or set " +
                                kVariable + "=" + way);
}

}  // namespace

Limits Limits::of_environment() {
    Limits found;
    const char* variable = std::getenv(kVariable);
    const std::string text = variable ? variable : "";
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(',', at), text.size());
        const std::string part = trimmed(text.substr(at, end - at));
        at = end + 1;
        if (part.empty()) continue;
        const size_t equal = part.find('=');
        const std::string name = trimmed(part.substr(0, equal));
        uint64_t number = 0;
        if (equal == part.npos || !read(trimmed(part.substr(equal + 1)), number))
            throw Fault(BNN_LIMITS, std::string(kVariable) + ": " + in_quotes(part) +
                                        " is not NAME=NUMBER, as in macs=1e12");
        if (name == "ops")
            found.ops = number;
        else if (name == "values")
            found.values = number;
        else if (name == "macs")
            found.macs = number;
        else if (name == "memory")
            found.memory = number;
        else
            throw Fault(BNN_LIMITS, std::string(kVariable) + ": no limit is called " + in_quotes(name) +
                                        "; there are ops, values, macs, memory");
    }
    return found;
}

void Limits::check_ops(uint64_t count) const {
    if (count > ops) refuse("the graph", {{"ops", "ops", count, ops}});
}

void Limits::check(const Graph& graph, const std::map<std::string, ValueType>& types) const {
    uint64_t asked_values = 0, asked_macs = 0, asked_memory = 0;
    std::string where;
    for (const Op& op : graph.ops) {
        const uint64_t made = product(types.at(op.name).shape);
        asked_values = plus(asked_values, made);
        asked_macs = plus(asked_macs, times(made, op.kind->each(op)));
        asked_memory = plus(asked_memory, plus(times(4, plus(made, padded(op, types))), weights(op)));
        if (where.empty() && (asked_values > values || asked_macs > macs || asked_memory > memory))
            where = op.name + " (" + op.kind->name + ")";
    }
    if (where.empty()) return;
    refuse(where, {{"values", "numbers", asked_values, values},
                   {"macs", "products and comparisons", asked_macs, macs},
                   {"memory", "bytes", asked_memory, memory}});
}

}  // namespace binarynet
