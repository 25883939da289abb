// Linear and Conv2d where an operand is real: float32 rows × packed bits, small integers or float32.
#pragma once

#include "kernel.h"
#include "kernels/panels.h"
#include "product.h"
#include "shape.h"
#include "weights.h"

namespace binarynet {

// Weights of few bits stay packed, and each plane of them is looked up (GemmSelect); of more bits they are a
// byte each and multiplied; real ones are float32. The sums are float32, in an order that is the instruction
// set's own.
class RealMatmul final : public Product {
 public:
    // The kernel: lookup or multiply.
    RealMatmul(std::string op, int source, int target, const Shape& shape, PackedWeights weight,
               int pad_value, Kernel kernel);
    // weight: (channels, depth)
    RealMatmul(std::string op, int source, int target, const Shape& shape, const std::vector<float>& weight,
               int pad_value);

    // Is it cheaper to look up weights of so many bits than to multiply them?
    static bool looks_up(const Kernels& kernels, int bits, size_t channels);

    size_t positions() const override { return shape_.positions(); }
    bool fuse(const ThresholdStep&, const Kernels&) override { return false; }
    bool fuse(const AffineStep&) override { return false; }
    void seal(const Kernels& kernels) override;
    void run(const Frame& frame) const override;
    Work work(const Frame& frame) const override;
    std::string kernel(const Frame& frame) const override;
    size_t scratch_bytes() const override;
    size_t weight_bytes() const override;

 private:
    // Bits that mean one of two numbers.
    struct Plane {
        float zero, one;
        std::vector<uint64_t> rows;  // until seal()
        std::vector<Panels> panels;  // (groups)
    };

    RealMatmul(std::string op, int source, int target, const Shape& shape, int pad_value);

    template <typename W, class WeightOf>
    Buffer lay_out(WeightOf weight_of) const;
    size_t lanes(const Kernels& kernels) const {
        return planes_.empty() ? kRealLanes : kernels.panel.channels;
    }
    size_t panel_count(const Kernels& kernels) const {
        return (shape_.channels_of_group() + lanes(kernels) - 1) / lanes(kernels);
    }
    size_t tile_rows() const;
    void gather(const Frame& frame, size_t first, size_t count, size_t group, float* rows) const;
    void run_tile(const Frame& frame, size_t first, size_t count, size_t panel_begin, size_t panel_end,
                  int slot) const;
    template <typename W>
    GemmReal<W> real(const GemmSelect& g, const Buffer& weight, size_t group) const;

    Shape shape_;
    float pad_;

    std::vector<Plane> planes_;  // one of these three
    Buffer bytes_;               // (groups, panels, depth, 16) int8
    Buffer reals_;               // (groups, panels, depth, 16) float
};

}  // namespace binarynet
