// The end of building: what can be one step becomes one, weights are laid out, memory is planned.
#include <algorithm>
#include <stdexcept>

#include "base/memory.h"
#include "network.h"
#include "product/product.h"
#include "steps/steps.h"

namespace binarynet {

std::vector<int> Network::readers(int number) const {
    std::vector<int> found;
    for (size_t i = 0; i < steps_.size(); ++i)
        for (int read : steps_[i]->reads())
            if (root(read) == root(number)) found.push_back(static_cast<int>(i));
    return found;
}

// A product whose only reader is a threshold or an affine makes that value itself; the accumulators never
// reach memory.
void Network::fuse() {
    for (size_t i = 0; i < steps_.size(); ++i) {
        auto* product = dynamic_cast<Product*>(steps_[i].get());
        if (!product || root(product->writes()) == root(output_)) continue;
        const std::vector<int> reading = readers(product->writes());
        if (reading.size() != 1) continue;
        const auto next = steps_.begin() + reading[0];
        // Per-channel tables belong to the product's channels; those of a flattened image belong to other
        // ones.
        if ((*next)->reads()[0] != product->writes() && product->positions() > 1) continue;
        bool done = false;
        if (const auto* threshold = dynamic_cast<ThresholdStep*>(next->get()))
            done = product->fuse(*threshold, kernels_);
        if (const auto* affine = dynamic_cast<AffineStep*>(next->get())) done = product->fuse(*affine);
        if (!done) continue;
        fused_.emplace_back((*next)->op(), product->op());
        steps_.erase(next);
    }
}

void Network::finish(int output) {
    if (finished()) throw std::invalid_argument("the network is finished already");
    if (input_ < 0) throw std::invalid_argument("the network has no input");
    output = numbers(output);
    if (root(output) == input_) {  // an f32 input that is also the answer
        const Value same = value(output);
        const int target = make(same);
        steps_.push_back(make_copy("copy", output, target, same));
        output = target;
    }
    output_ = output;
    fuse();
    for (const auto& step : steps_) {
        if (auto* product = dynamic_cast<Product*>(step.get())) product->seal(kernels_);
        scratch_bytes_ = std::max(scratch_bytes_, round_up(step->scratch_bytes(), kLine));
        weight_bytes_ += step->weight_bytes();
    }
    plan_memory();
}

}  // namespace binarynet
