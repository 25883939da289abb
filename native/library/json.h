// JSON as it is read by everyone alike, by nlohmann-json (Debian: nlohmann-json3-dev).
//
// That library because it is one header under the MIT licence, in every distribution, checks UTF-8, and hands
// over each number with its text. simdjson reads faster; a header of a few KB is read in microseconds by
// either.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "library/fault.h"

namespace binarynet {

using Json = nlohmann::json;

// What docs/format.md demands beyond JSON: a key stands once in its object, whole numbers fit 64 bits, others
// are finite, and nothing is nested more than 64 deep. Throws Fault(status), which begins with `what`.
Json parse_json(std::string_view text, const std::string& what, bnn_status status);

}  // namespace binarynet
