#include "library/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "library/fault.h"

namespace binarynet {

namespace {

struct Descriptor {
    int number;
    ~Descriptor() {
        if (number >= 0) close(number);
    }
};

}  // namespace

std::vector<uint8_t> read_file(const std::string& path, uint64_t most) {
    const auto unreadable = [] {
        return Fault(BNN_FILE, "cannot be read: " + std::string(std::strerror(errno)));
    };
    const Descriptor file{open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    struct stat found;
    if (file.number < 0 || fstat(file.number, &found) != 0) throw unreadable();
    if (!S_ISREG(found.st_mode)) throw Fault(BNN_FILE, "is not a regular file");
    const auto length = static_cast<uint64_t>(found.st_size);
    if (length > most)
        throw Fault(BNN_LIMITS, "has " + std::to_string(length) + " bytes, the limit is " +
                                    std::to_string(most) + "; see most_memory");
    std::vector<uint8_t> bytes(length);
    for (size_t at = 0; at < bytes.size();) {
        const ssize_t got = read(file.number, bytes.data() + at, bytes.size() - at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw unreadable();
        if (!got) bytes.resize(at);  // it has become shorter
        at += static_cast<size_t>(got);
    }
    return bytes;
}

}  // namespace binarynet
