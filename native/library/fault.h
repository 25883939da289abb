// Why a file is refused: the kind of error, and a sentence that says where, what and the way out.
#pragma once

#include <stdexcept>
#include <string>

#include "library/binarynet.h"

namespace binarynet {

class Fault : public std::runtime_error {
 public:
    Fault(bnn_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
    bnn_status status() const { return status_; }

 private:
    bnn_status status_;
};

}  // namespace binarynet
