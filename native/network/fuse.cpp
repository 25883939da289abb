// The end of building: what can be one step becomes one, weights are laid out, memory is planned.
#include <algorithm>
#include <stdexcept>

#include "base/memory.h"
#include "network.h"
#include "product/product.h"
#include "steps/rows.h"
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
        // Per-channel tables belong to the product's channels; those of an image that is flattened, or of a
        // vector that is made one, belong to other ones.
        const int read = (*next)->reads()[0];
        if (read != product->writes() &&
            (product->positions() > 1 || value(read).channels != value(product->writes()).channels))
            continue;
        bool done = false;
        if (const auto* threshold = dynamic_cast<ThresholdStep*>(next->get()))
            done = product->fuse(*threshold, kernels_);
        if (const auto* affine = dynamic_cast<AffineStep*>(next->get())) done = product->fuse(*affine);
        if (!done) continue;
        fused_.emplace_back((*next)->op(), product->op());
        steps_.erase(next);
    }
}

// Steps that treat each pixel by itself, one behind the other, become one pass over memory.
void Network::chain() {
    for (size_t i = 0; i < steps_.size(); ++i) {
        std::vector<size_t> members;
        for (size_t next = i; dynamic_cast<RowStep*>(steps_[next].get());) {
            members.push_back(next);
            const int made = steps_[next]->writes();
            const std::vector<int> reading = readers(made);
            if (root(made) == root(output_) || reading.size() != 1 || value(made).store != Value::f32) break;
            const auto* before = static_cast<RowStep*>(steps_[next].get());
            next = static_cast<size_t>(reading[0]);
            const auto* row = dynamic_cast<RowStep*>(steps_[next].get());
            // That of a flattened image has other rows.
            const std::vector<int>& reads = steps_[next]->reads();
            if (!row || row->width() != before->width() || !std::count(reads.begin(), reads.end(), made))
                break;
        }
        if (members.size() < 2) continue;
        std::vector<std::unique_ptr<RowStep>> taken;
        for (const size_t member : members) {
            taken.emplace_back(static_cast<RowStep*>(steps_[member].release()));
            if (member != i) fused_.emplace_back(taken.back()->op(), taken[0]->op());
        }
        steps_[members.back()] = std::make_unique<Chain>(std::move(taken));
        steps_.erase(std::remove(steps_.begin(), steps_.end(), nullptr), steps_.end());
        --i;  // what stands there now
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
    chain();
    for (const auto& step : steps_) {
        if (auto* product = dynamic_cast<Product*>(step.get())) product->seal(kernels_);
        scratch_bytes_ = std::max(scratch_bytes_, round_up(step->scratch_bytes(), kLine));
        weight_bytes_ += step->weight_bytes();
    }
    plan_memory();
}

}  // namespace binarynet
