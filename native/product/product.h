// A Linear or a Conv2d.
#pragma once

#include "steps/affine.h"
#include "steps/threshold.h"

namespace binarynet {

// Its only reader, where that is a threshold or an affine, becomes part of it.
class Product : public Step {
 public:
    using Step::Step;

    virtual size_t positions() const = 0;
    // Before seal(): make the value of that step instead of the accumulators. False if these kernels cannot.
    virtual bool fuse(const ThresholdStep& step, const Kernels& kernels) = 0;
    virtual bool fuse(const AffineStep& step) = 0;
    // Lay out weights and tables for these kernels.
    virtual void seal(const Kernels& kernels) = 0;
};

}  // namespace binarynet
