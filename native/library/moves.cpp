// Ops that gate, move and join values: their rules, and how the engine is given them.
#include <algorithm>

#include "library/ops.h"
#include "library/text.h"

namespace binarynet {

namespace {

// A vector is an image of one pixel.
Sizes as_image(const Sizes& shape) {
    return shape.size() == 1 ? Sizes{1, 1, shape[0]} : shape;
}

struct Axis {
    const char* name;
    Tensor Op::* places;
};
constexpr Axis kAxes[] = {{"rows", &Op::rows}, {"columns", &Op::columns}, {"channels", &Op::channels}};

}  // namespace

ValueType verify_mul(const Op&, const Types& reads, const Fail& fail) {
    const ValueType &x = *reads[0], &factor = *reads[1];
    bool fits = x.encoding == kF32 && factor.encoding == kF32;
    const Sizes whole = as_image(x.shape), sizes = as_image(factor.shape);
    for (size_t axis = 0; axis < 3; ++axis) fits = fits && (sizes[axis] == 1 || sizes[axis] == whole[axis]);
    if (!fits)
        fail("multiplies " + x.text() + " by " + factor.text() +
             "; both must be f32, and the second of the same shape, or 1 in places");
    return x;
}

ValueType verify_apply(const Op& op, const Types& reads, const Fail& fail) {
    if (op.function != "sigmoid" && op.function != "tanh" && op.function != "erf")
        fail("function " + in_quotes(op.function) + " is unknown; known: sigmoid, tanh, erf");
    if (reads[0]->encoding != kF32) fail("reads " + reads[0]->encoding.name() + ", needs f32");
    return *reads[0];
}

ValueType verify_take(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Sizes sizes = as_image(x.shape);
    Sizes shape;
    for (size_t axis = 0; axis < 3; ++axis) {
        const Tensor& places = op.*kAxes[axis].places;
        const std::string name = kAxes[axis].name;
        if (places.type != Tensor::i32 || places.shape.size() != 1)
            fail(name + " must be a non-empty row of int32, not " + places.text());
        int64_t least = INT32_MAX, most = INT32_MIN;
        for (size_t i = 0; i < places.numbers(); ++i) {
            least = std::min<int64_t>(least, places.at<int32_t>(i));
            most = std::max<int64_t>(most, places.at<int32_t>(i));
        }
        if (least < -1 || most >= sizes[axis])
            fail(name + " holds places from " + std::to_string(least) + " to " + std::to_string(most) +
                 "; there are −1 … " + std::to_string(sizes[axis] - 1) + " in " + x.text());
        if (x.encoding.kind == 'b' && least < 0)
            fail(name + " holds −1, which makes a 0, and " + x.encoding.name() + " has none");
        shape.push_back(places.shape[0]);
    }
    if (x.shape.size() == 1 && shape[0] == 1 && shape[1] == 1) shape = {shape[2]};
    return {std::move(shape), x.encoding, x.bound};
}

ValueType verify_concat(const Op&, const Types& reads, const Fail& fail) {
    ValueType made = *reads[0];
    for (size_t i = 1; i < reads.size(); ++i) {
        const ValueType& one = *reads[i];
        Sizes alike = one.shape;
        alike.back() = reads[0]->channels();
        if (alike != reads[0]->shape || one.encoding != made.encoding)
            fail("joins " + reads[0]->text() + " and " + one.text() +
                 "; all must have one height, width and encoding");
        made.shape.back() += one.channels();
        made.bound = std::max(made.bound, one.bound);
    }
    return made;
}

int add_mul(Network& network, const Op& op, const Numbers& reads) {
    return network.add_mul(op.name, reads[0], reads[1]);
}

int add_apply(Network& network, const Op& op, const Numbers& reads) {
    return network.add_apply(op.name, reads[0], op.function);
}

int add_take(Network& network, const Op& op, const Numbers& reads) {
    return network.add_take(op.name, reads[0], op.rows.copy<int32_t>(), op.columns.copy<int32_t>(),
                            op.channels.copy<int32_t>());
}

int add_concat(Network& network, const Op& op, const Numbers& reads) {
    return network.add_concat(op.name, reads);
}

}  // namespace binarynet
