// Text out of a file: UTF-8 that the JSON reader has found well formed.
#pragma once

#include <string>

namespace binarynet {

// Why a text cannot be the name of an op or a key of meta, or "" if it can (docs/format.md).
std::string unfit(const std::string& name);

// For a message: what ends lines or steers a terminal becomes its escape, and what is endless is cut.
std::string printable(const std::string& text);
// The same between quotes, and shorter.
std::string in_quotes(const std::string& text);

}  // namespace binarynet
