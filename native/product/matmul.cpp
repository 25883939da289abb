#include "matmul.h"

#include <stdexcept>

namespace binarynet {

Matmul::Matmul(std::string op, int source, int target, const Shape& shape, PackedWeights weight,
               int pad_value, std::optional<Kernel> forced)
    : Product(std::move(op), {source}, target),
      shape_(shape),
      outside_(shape, pad_value),
      rows_(shape, outside_.code),
      planes_(shape.from.code, weight.code),
      finish_(shape.channels),
      weight_(std::move(weight)),
      forced_(forced) {
    if (shape.depth > UINT32_MAX / static_cast<size_t>(shape.from.code.largest()))
        throw std::invalid_argument("a dot product of " + std::to_string(shape.depth) +
                                    " values does not fit 32 bits");
    weight_.check(shape.depth);
}

bool Matmul::fuse(const ThresholdStep& step, const Kernels& kernels) {
    // S ≤ limit in int32.
    const bool fits = shape_.depth <= INT32_MAX / static_cast<size_t>(shape_.from.code.largest());
    // A group's bits must begin and end with a byte and a panel.
    const bool whole = shape_.groups == 1 || shape_.channels_of_group() % kernels.panel.channels == 0;
    finish_.fuse(step.thresholds(), planes_.plain() && step.thresholds().makes_bits() && fits && whole);
    writes(step.writes());
    return true;
}

bool Matmul::fuse(const AffineStep& step) {
    finish_.fuse(step.table());
    writes(step.writes());
    return true;
}

// A Linear after a flattened image reads each pixel with its own tail, so its weights get the same tails; so
// does a convolution that reads pixels where they lie.
void Matmul::seal(const Kernels& kernels) {
    const Shape& s = shape_;
    if (s.window && s.groups == 1 && planes_.plain() && !rows_.direct() &&
        (!forced_ || forced_ == Kernel::tiles))
        implicit_ = Implicit::plan(s.from, *s.window, outside_.code, kernels);
    const size_t pixels = s.window ? s.window->taps() : s.from.pixels();
    const bool pixel_rows = s.window ? implicit_ && implicit_->whole_words() : s.from.store == Value::bits;
    if (!implicit_ && planes_.plain() && Pieces::takes(s, kernels)) pieces_.emplace(s, outside_.code);
    order_ = pixel_rows && pixels > 1 && s.from.channels % kWord ? Order::by_pixel(s, pixels) : Order(s);
    const size_t per_group = s.channels_of_group(), planes = static_cast<size_t>(planes_.weights());
    panels_.resize(s.groups * planes);
    for (size_t n = 0; n < planes; ++n) {
        const std::vector<uint64_t> rows = order_.lay_out(weight_, n, s.depth);
        for (size_t g = 0; g < s.groups; ++g)
            panels_[g * planes + n] = Panels(kernels.panel, &rows[g * per_group * order_.words()], per_group,
                                             order_.words(), order_.used());
    }
    lanes_ = kernels.panel.channels;
    if (forced_ == Kernel::tiles && !implicit_ && order_.words() * kWord > kernels.tile_depth)
        throw std::invalid_argument(op() + ": its rows of " + std::to_string(order_.words() * kWord) +
                                    " values are too long for the kernel 'tiles', which takes " +
                                    std::to_string(kernels.tile_depth) + "; it can run on popcount");
    terms_ = Terms(s, outside_, planes_, weight_, finish_, panels_[0].padded_channels());
    if (!forced_ || forced_ == Kernel::vertical) lay_out_vertical(kernels);
    if (!forced_ || forced_ == Kernel::bitsliced) lay_out_bitsliced(kernels);
    if (!forced_ || forced_ == Kernel::lookup) {
        codes_ = CodesMatmul::plan(s, planes_, kernels);
        if (codes_) codes_->seal(weight_, terms_, finish_);
    }
    weight_.words = {};
}

void Matmul::lay_out_vertical(const Kernels& kernels) {
    vertical_ =
        VerticalMatmul::plan(shape_, outside_, rows_.direct(), order_, weight_, kernels, bool(forced_));
    if (!vertical_) return;
    std::vector<std::vector<bool>> outside;
    std::vector<uint32_t> classes;
    find_padding(&outside, &classes);
    vertical_->seal(weight_, finish_, outside, std::move(classes), kernels);
}

// Answers that are not bits would have to be turned back digit by digit.
void Matmul::lay_out_bitsliced(const Kernels& kernels) {
    std::optional<BitslicedMatmul> planned;
    if (finish_.compares())
        planned = BitslicedMatmul::plan(shape_, outside_, rows_.direct(), order_, kernels, bool(forced_));
    if (!planned && forced_)
        throw std::invalid_argument(op() +
                                    ": its answers are not bits, which the kernel 'bitsliced' makes; it can "
                                    "run on popcount");
    if (!planned) return;
    if (!forced_) {
        // Lists are many times as large as the weights: none where even full words lose.
        const Frame frame{kernels, 0, 4 * 8 * kernels.vertical_bytes / positions() + 1, 1};
        if (frame.nanoseconds(planned->work(frame)) >= frame.nanoseconds(cut(frame).work)) return;
    }
    std::vector<std::vector<bool>> outside;
    std::vector<uint32_t> classes;
    find_padding(&outside, &classes);
    planned->seal(weight_, finish_, outside, std::move(classes));
    bitsliced_ = std::move(planned);
}

// Classes of positions: which taps lie outside, where the number 0 stands there.
void Matmul::find_padding(std::vector<std::vector<bool>>* outside, std::vector<uint32_t>* classes) const {
    *outside = {std::vector<bool>(shape_.taps())};
    if (!outside_.corrected) return;
    PaddingClasses padding(*shape_.window);
    *classes = std::move(padding.of);
    *outside = std::move(padding.outside);
}

void Matmul::run(const Frame& frame) const {
    const Cut how = cut(frame);
    if (how.kernel == Kernel::vertical) return vertical_->run(frame, reads()[0], writes(), finish_);
    if (how.kernel == Kernel::bitsliced) return bitsliced_->run(frame, reads()[0], writes());
    if (how.kernel == Kernel::lookup) return codes_->run(frame, reads()[0], writes(), rows_, terms_, finish_);
    if (implicit_) return run_implicit(frame);
    run_gathered(frame, how);
}

size_t Matmul::scratch_bytes() const {
    size_t bytes = implicit_ ? implicit_scratch_bytes() : gathered_scratch_bytes();
    if (vertical_) bytes = std::max(bytes, vertical_->scratch_bytes(finish_));
    if (bitsliced_) bytes = std::max(bytes, bitsliced_->scratch_bytes());
    if (codes_) bytes = std::max(bytes, codes_->scratch_bytes(finish_));
    return bytes;
}

size_t Matmul::weight_bytes() const {
    size_t bytes = terms_.bytes();
    for (const Panels& panels : panels_) bytes += panels.bytes();
    if (vertical_) bytes += vertical_->weight_bytes();
    if (bitsliced_) bytes += bitsliced_->weight_bytes();
    if (codes_) bytes += codes_->weight_bytes();
    return bytes;
}

std::string Matmul::kernel(const Frame& frame) const {
    const Kernel kernel = cut(frame).kernel;
    if (kernel == Kernel::vertical) return vertical_->text() + finish_.text();
    if (kernel == Kernel::bitsliced) return bitsliced_->text() + finish_.text();
    if (kernel == Kernel::lookup)
        return codes_->text() + (terms_.has_classes() ? ", exact zero padding" : "") + finish_.text();
    std::string text = std::string(name_of(kernel)) + ", " + std::to_string(planes_.rows());
    if (!planes_.plain()) text += " × " + std::to_string(planes_.weights());
    text += planes_.rows() == 1 && planes_.plain() ? " plane" : " planes";
    if (shape_.window)
        text += implicit_ ? std::string(", implicit ") + implicit_->text()
                          : std::string(pieces_ ? ", pixels in place" : ", ") + (pieces_ ? "" : rows_.text());
    if (shape_.groups > 1) text += ", " + std::to_string(shape_.groups) + " groups";
    if (terms_.has_classes()) text += ", exact zero padding";
    return text + finish_.text();
}

}  // namespace binarynet
