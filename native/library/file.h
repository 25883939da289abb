// A file, read whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace binarynet {

// Throws Fault(BNN_FILE) for what cannot be read or is no regular file (a pipe, /dev/zero), and
// Fault(BNN_LIMITS) for more than `most` bytes.
std::vector<uint8_t> read_file(const std::string& path, uint64_t most);

}  // namespace binarynet
