#include "library/json.h"

#include <vector>

#include "library/text.h"

namespace binarynet {

namespace {

constexpr size_t kDeepest = 64;

// Builds the tree and stops at the first thing that two readers could take differently.
class Builder final : public nlohmann::json_sax<Json> {
 public:
    Json root;
    std::string fault;

    bool null() override { return add(nullptr) != nullptr; }
    bool boolean(bool value) override { return add(value) != nullptr; }
    bool number_integer(number_integer_t value) override {
        return value ? add(value) != nullptr : refuse("-0 is no whole number of 64 bits");
    }
    bool number_unsigned(number_unsigned_t value) override {
        if (value > INT64_MAX) return refuse(std::to_string(value) + " is no whole number of 64 bits");
        return add(static_cast<int64_t>(value)) != nullptr;
    }
    bool number_float(number_float_t value, const string_t& text) override {
        if (text.find_first_of(".eE") == text.npos)  // digits that 64 bits do not hold come as a float
            return refuse(text.substr(0, 40) + " is no whole number of 64 bits");
        return add(value) != nullptr;
    }
    bool string(string_t& value) override { return add(std::move(value)) != nullptr; }
    bool binary(binary_t&) override { return refuse("binary data"); }
    bool start_object(size_t) override { return open(Json::object()); }
    bool start_array(size_t) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& value) override {
        key_ = std::move(value);
        return !open_.back()->contains(key_) ||
               refuse("the key " + in_quotes(key_) + " stands twice in an object");
    }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
        return refuse(error.what());
    }

 private:
    bool refuse(const std::string& why) {
        fault = why;
        return false;
    }
    // The value in its place, or null where it lies too deep.
    Json* add(Json value) {
        if (open_.size() >= kDeepest) {
            refuse("it is nested more than " + std::to_string(kDeepest) + " deep");
            return nullptr;
        }
        if (open_.empty()) return &(root = std::move(value));
        Json& parent = *open_.back();
        if (parent.is_object()) return &(parent[key_] = std::move(value));
        parent.push_back(std::move(value));
        return &parent.back();
    }
    bool open(Json container) {
        Json* const made = add(std::move(container));
        if (made) open_.push_back(made);
        return made;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::vector<Json*> open_;  // from the outermost on; a container only grows while it is the last
    std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& what, bnn_status status) {
    Builder builder;
    // The lexer takes NUL for the end of the text, and skips a byte order mark.
    if (text.find('\0') != text.npos || text.substr(0, 3) == "\xEF\xBB\xBF")
        builder.fault = "it holds a NUL, or begins with a byte order mark";
    else if (Json::sax_parse(text.begin(), text.end(), &builder))
        return std::move(builder.root);
    throw Fault(status, what + " is not JSON: " + builder.fault);
}

}  // namespace binarynet
