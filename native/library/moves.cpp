// The rules of the ops that move numbers or bend them one by one, as src/binarynet/graph/types.py has them.
#include <algorithm>
#include <set>

#include "library/ops.h"
#include "library/text.h"

namespace binarynet {

namespace {

// The extent of one axis of what is taken.
int64_t taken(const Tensor& places, int64_t size, const char* axis, const ValueType& x, const Fail& fail) {
    if (places.type != Tensor::i32 || places.shape.size() != 1)
        fail(std::string(axis) + " must be a non-empty row of I32, not " + places.text());
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (size_t i = 0; i < places.numbers(); ++i) {
        least = std::min(least, places.at<int32_t>(i));
        most = std::max(most, places.at<int32_t>(i));
    }
    if (least < -1 || most >= size)
        fail(std::string(axis) + " holds places from " + std::to_string(least) + " to " +
             std::to_string(most) + "; there are −1 … " + std::to_string(size - 1) + " in " + x.text());
    if (x.encoding.kind == 'b' && least < 0)
        fail(std::string(axis) + " holds −1, which makes a 0, and " + x.encoding.name() + " has none");
    return places.shape[0];
}

bool same_places(const Sizes& a, const Sizes& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end() - 1, b.begin());
}

}  // namespace

ValueType verify_apply(const Op& op, const Types& reads, const Fail& fail) {
    static const std::set<std::string> known{"sigmoid", "tanh", "erf", "sqrt", "reciprocal"};
    if (!known.count(op.function))
        fail("function " + in_quotes(op.function) +
             " is unknown; known: sigmoid, tanh, erf, sqrt, reciprocal");
    if (reads[0]->encoding != kF32) fail("reads " + reads[0]->encoding.name() + ", needs f32");
    return *reads[0];
}

ValueType verify_take(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Image size = as_image(x.shape);
    const Image made{taken(op.rows, size[0], "rows", x, fail), taken(op.columns, size[1], "columns", x, fail),
                     taken(op.channels, size[2], "channels", x, fail)};
    const bool vector = x.shape.size() == 1 && made[0] == 1 && made[1] == 1;
    return {vector ? Sizes{made[2]} : Sizes{made.begin(), made.end()}, x.encoding, x.bound};
}

ValueType verify_unflatten(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const bool image = op.shape.size() == 3 && *std::min_element(op.shape.begin(), op.shape.end()) >= 1;
    if (!image || x.shape.size() != 1 || product(op.shape) != static_cast<uint64_t>(x.shape[0]))
        fail("makes no image (height, width, channels) of as many numbers as " + x.text() + " has");
    if (x.encoding != kI32 && x.encoding != kF32) fail("reads " + x.encoding.name() + ", needs i32 or f32");
    return {op.shape, x.encoding, x.bound};
}

ValueType verify_concat(const Op&, const Types& reads, const Fail& fail) {
    ValueType made = *reads[0];
    for (size_t i = 1; i < reads.size(); ++i) {
        const ValueType& one = *reads[i];
        if (one.encoding != made.encoding || !same_places(one.shape, made.shape))
            fail("joins " + reads[0]->text() + " and " + one.text() +
                 "; all must have one height, width and encoding");
        made.shape.back() += one.channels();
        made.bound = std::max(made.bound, one.bound);
    }
    return made;
}

}  // namespace binarynet
