#include "library/verify.h"

#include <cmath>
#include <set>

#include "library/fault.h"
#include "library/ops.h"
#include "library/text.h"

namespace binarynet {

namespace {

constexpr int64_t kLimit = INT32_MAX;  // of an accumulator, and of the sizes of a value
constexpr int64_t kSide = 65536;       // the largest kernel, stride, dilation or padding

Encoding encoding(const std::string& name, const Fail& fail) {
    const auto found = Encoding::parse(name);
    if (!found) fail("unknown encoding " + in_quotes(name) + "; known: b1…b8, u1…u8, i2…i8, t2, i32, f32");
    return *found;
}

ValueType sum(Sizes shape, uint64_t bound, const std::string& what, const Fail& fail) {
    if (bound > static_cast<uint64_t>(kLimit))
        fail(what + " can reach ±" + std::to_string(bound) + ", which does not fit 32 bits");
    return {std::move(shape), kI32, static_cast<int64_t>(bound)};
}

bool all_finite(const Tensor& tensor) {
    for (size_t i = 0; i < tensor.numbers(); ++i)
        if (!std::isfinite(tensor.at<float>(i))) return false;
    return true;
}

Encoding weights(const Op& op, const Fail& fail, size_t rank) {
    const Encoding found = encoding(op.weight_encoding, fail);
    if (found == kI32) fail("weights are b1…b7, u1…u7, i2…i8, t2 or f32, not i32");
    if (op.weight.shape.size() != rank)
        fail("weight must be of rank " + std::to_string(rank) + ", not " + shown(op.weight.shape));
    if (found.is_float() && !all_finite(op.weight.tensor)) fail("a weight is not finite");
    return found;
}

ValueType accumulator(const ValueType& x, const Encoding& weight, uint64_t depth, Sizes shape,
                      const Fail& fail) {
    if (x.encoding.is_float() || (weight.is_float() && x.encoding != kI32)) return {std::move(shape), kF32};
    if (x.encoding == kI32) fail("reads an accumulator; a Threshold or an Affine must stand between");
    const uint64_t bound =
        times(times(depth, static_cast<uint64_t>(x.bound)), static_cast<uint64_t>(weight.magnitude()));
    return sum(
        std::move(shape), bound,
        "a dot product of " + std::to_string(depth) + " values " + x.encoding.name() + " × " + weight.name(),
        fail);
}

void sides(const Pair& pair, const char* name, const Fail& fail) {
    for (int64_t side : pair)
        if (side < 1 || side > kSide)
            fail(std::string(name) + " must be two numbers from 1 to 65536, not " +
                 shown({pair[0], pair[1]}));
}

// How many places a window has in each direction.
Pair places(const Op& op, const ValueType& x, const Pair& kernel, const Pair& dilation, const Fail& fail) {
    if (x.shape.size() != 3) fail("reads " + x.text() + ", needs an image (height, width, channels)");
    sides(kernel, "kernel", fail);
    sides(op.stride, "stride", fail);
    sides(dilation, "dilation", fail);
    for (const Pair& pair : op.padding)
        for (int64_t side : pair)
            if (side < 0 || side > kSide) fail("padding must be numbers from 0 to 65536");
    Pair found{};
    for (size_t axis = 0; axis < 2; ++axis) {
        const int64_t reach = dilation[axis] * (kernel[axis] - 1) + 1,
                      room = x.shape[axis] + op.padding[axis][0] + op.padding[axis][1];
        if (reach > room)
            fail("a window of " + std::to_string(reach) + " does not fit an image of " + shown(x.shape) +
                 " with its padding");
        found[axis] = (room - reach) / op.stride[axis] + 1;
    }
    return found;
}

void pool_padding(const Op& op, const Fail& fail) {
    for (size_t axis = 0; axis < 2; ++axis)
        for (int64_t side : op.padding[axis])
            if (side >= op.kernel[axis]) fail("padding reaches past the kernel");
}

void per_channel(const Tensor& tensor, const ValueType& x, const char* name, const Fail& fail) {
    if (tensor.type != Tensor::f32 || tensor.shape != Sizes{x.channels()})
        fail(std::string(name) + " must be F32 of " + shown({x.channels()}) + ", not " + tensor.text());
    if (!all_finite(tensor)) fail(std::string(name) + " holds a number that is not finite");
}

void per_channel(const Packed& yes_no, const ValueType& x, const char* name, const Fail& fail) {
    if (yes_no.shape != Sizes{x.channels()})
        fail(std::string(name) + " must be of shape " + shown({x.channels()}) + ", not " +
             shown(yes_no.shape));
}

}  // namespace

ValueType verify_input(const Op& op, const Types&, const Fail& fail) {
    const Encoding found = encoding(op.encoding, fail);
    if (found != kF32 && found.kind != 'b' && found.kind != 'u')
        fail("an input is b1…b8, u1…u8 or f32, not " + found.name());
    if (op.shape.size() != 1 && op.shape.size() != 3)
        fail("an input is (features,) or (height, width, channels), not " + shown(op.shape));
    return {op.shape, found, found.is_float() ? 0 : found.magnitude()};
}

ValueType verify_linear(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Encoding weight = weights(op, fail, 2);
    if (x.shape.size() != 1)
        fail("reads " + x.text() + "; a Linear reads a vector, so put a Flatten before it");
    const int64_t out = op.weight.shape[0], depth = op.weight.shape[1];
    if (x.shape[0] != depth)
        fail("has weights for " + std::to_string(depth) + " inputs, reads " + std::to_string(x.shape[0]));
    return accumulator(x, weight, static_cast<uint64_t>(depth), {out}, fail);
}

ValueType verify_conv2d(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Encoding weight = weights(op, fail, 4);
    const Sizes& shape = op.weight.shape;
    const Pair found = places(op, x, {shape[1], shape[2]}, op.dilation, fail);
    if (op.groups < 1 || shape[0] % op.groups ||
        times(static_cast<uint64_t>(shape[3]), static_cast<uint64_t>(op.groups)) !=
            static_cast<uint64_t>(x.channels()))
        fail("groups must divide channels in and out, and channels in must be groups × channels of a weight");
    const Encoding outside = x.encoding.is_float() ? Encoding{'i', 8} : x.encoding;
    const int64_t pad = op.pad_value;
    if (pad && (pad < outside.low() || pad > outside.high() || (outside.kind == 'b' && pad % 2 == 0)))
        fail("pad_value " + std::to_string(pad) + " is neither 0 nor a value of " + x.encoding.name());
    return accumulator(x, weight, product(shape, 1), {found[0], found[1], shape[0]}, fail);
}

ValueType verify_threshold(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Encoding made = encoding(op.encoding, fail);
    if (made.is_float() || made == kI32)
        fail("makes " + made.name() + "; a threshold makes b1…b8, u1…u8, i2…i8 or t2");
    if (x.encoding != kI32 && x.encoding != kF32)
        fail("reads " + x.encoding.name() + "; a threshold reads an accumulator (i32) or reals (f32)");
    const Tensor::Type type = x.encoding.is_float() ? Tensor::f32 : Tensor::i32;
    const Sizes shape{x.channels(), made.count() - 1};
    if (op.thresholds.type != type || op.thresholds.shape != shape)
        fail("thresholds must be " + std::string(type == Tensor::f32 ? "F32 " : "I32 ") + shown(shape) +
             ", not " + op.thresholds.text());
    for (size_t i = 0; type == Tensor::f32 && i < op.thresholds.numbers(); ++i)
        if (std::isnan(op.thresholds.at<float>(i))) fail("a threshold is not a number");
    per_channel(op.rising, x, "rising", fail);
    return {x.shape, made, made.magnitude()};
}

ValueType verify_affine(const Op& op, const Types& reads, const Fail& fail) {
    per_channel(op.scale, *reads[0], "scale", fail);
    per_channel(op.offset, *reads[0], "offset", fail);
    return {reads[0]->shape, kF32};
}

ValueType verify_max_pool2d(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Pair found = places(op, x, op.kernel, {1, 1}, fail);
    pool_padding(op, fail);
    per_channel(op.minimum, x, "minimum", fail);
    return {{found[0], found[1], x.channels()}, x.encoding, x.bound};
}

ValueType verify_sum_pool2d(const Op& op, const Types& reads, const Fail& fail) {
    const ValueType& x = *reads[0];
    const Pair found = places(op, x, op.kernel, {1, 1}, fail);
    pool_padding(op, fail);
    Sizes shape{found[0], found[1], x.channels()};
    if (x.encoding.is_float()) return {std::move(shape), kF32};
    const uint64_t under = times(op.kind->each(op), static_cast<uint64_t>(x.bound));
    return sum(std::move(shape), under, "a sum under the window", fail);
}

ValueType verify_add(const Op&, const Types& reads, const Fail& fail) {
    const ValueType &left = *reads[0], &right = *reads[1];
    if (left.shape != right.shape || left.encoding != right.encoding ||
        (left.encoding != kI32 && left.encoding != kF32))
        fail("adds " + left.text() + " and " + right.text() + "; both must be i32 or both f32, of one shape");
    if (left.encoding.is_float()) return left;
    return sum(left.shape, static_cast<uint64_t>(left.bound) + static_cast<uint64_t>(right.bound), "the sum",
               fail);
}

ValueType verify_mul(const Op&, const Types& reads, const Fail& fail) {
    const ValueType &x = *reads[0], &factor = *reads[1];
    const Image whole = as_image(x.shape), part = as_image(factor.shape);
    bool fits = x.encoding == kF32 && factor.encoding == kF32;
    for (size_t i = 0; i < whole.size(); ++i) fits = fits && (part[i] == 1 || part[i] == whole[i]);
    if (!fits)
        fail("multiplies " + x.text() + " by " + factor.text() +
             "; both must be f32, and the second of the same shape, or 1 in places");
    return x;
}

ValueType verify_relu(const Op&, const Types& reads, const Fail& fail) {
    if (reads[0]->encoding != kI32 && reads[0]->encoding != kF32)
        fail("reads " + reads[0]->encoding.name() + ", needs i32 or f32");
    return *reads[0];
}

ValueType verify_prelu(const Op& op, const Types& reads, const Fail& fail) {
    if (reads[0]->encoding != kF32) fail("reads " + reads[0]->encoding.name() + ", needs f32");
    per_channel(op.slope, *reads[0], "slope", fail);
    return *reads[0];
}

ValueType verify_flatten(const Op&, const Types& reads, const Fail&) {
    return {{static_cast<int64_t>(product(reads[0]->shape))}, reads[0]->encoding, reads[0]->bound};
}

std::vector<std::string> Graph::classes() const {
    std::vector<std::string> names;
    const auto entry = meta.find("classes");
    if (entry == meta.end() || entry->second.empty()) return names;
    for (size_t at = 0; at <= entry->second.size();) {
        const size_t end = std::min(entry->second.find('\n', at), entry->second.size());
        names.push_back(entry->second.substr(at, end - at));
        at = end + 1;
    }
    return names;
}

namespace {

// Each output is one vector that the last op puts behind the one before it.
void verify_outputs(const Graph& graph, const std::map<std::string, ValueType>& types) {
    const auto refuse = [](const std::string& what) { throw Fault(BNN_RULES, "outputs: " + what); };
    const Op& last = graph.ops.back();
    if (last.kind != op_kind("Concat") || types.at(last.name).shape.size() != 1 ||
        last.sources.size() != graph.outputs.size())
        refuse("names " + std::to_string(graph.outputs.size()) +
               "; the last op must be a Concat of so many vectors, not " + last.name + " (" +
               last.kind->name + ") of " + std::to_string(last.sources.size()));
    std::set<std::string> names;
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
        const Output& one = graph.outputs[i];
        if (const std::string why = unfit(one.name); !why.empty())
            refuse("the name " + in_quotes(one.name) + " " + why);
        const ValueType& made = types.at(last.sources[i]);
        if ((one.shape.size() != 1 && one.shape.size() != 3) || !all_positive(one.shape) ||
            product(one.shape) != product(made.shape))
            refuse(one.name + " has the shape " + shown(one.shape) + "; " + last.sources[i] + " makes " +
                   made.text());
        if (!names.insert(one.name).second) refuse("a name is used twice");
    }
}

}  // namespace

std::map<std::string, ValueType> verify(const Graph& graph) {
    if (graph.ops.empty()) throw Fault(BNN_RULES, "the graph has no ops; it needs at least an Input");
    std::map<std::string, ValueType> types;
    std::set<std::string> read;
    for (const Op& op : graph.ops) {
        const Fail fail = [&](const std::string& what) {
            const std::string who = op.name.empty() ? "op " + std::to_string(types.size()) : op.name;
            throw Fault(BNN_RULES, who + " (" + op.kind->name + "): " + what);
        };
        if (const std::string why = unfit(op.name); !why.empty()) fail("its name " + why);
        if (types.count(op.name)) fail("the name is used twice");
        if ((op.kind == op_kind("Input")) != types.empty())
            fail("a graph has one Input, and it stands first");
        const bool several = op.kind->arity == kSeveral;
        if (several ? op.sources.size() < 2 : op.sources.size() != op.kind->arity)
            fail("reads " + std::to_string(op.sources.size()) + " values, needs " +
                 (several ? "2 or more" : std::to_string(op.kind->arity)));
        Types sources;
        for (const std::string& source : op.sources) {
            const auto made = types.find(source);
            if (made == types.end()) fail("reads " + in_quotes(source) + ", which is not made before it");
            sources.push_back(&made->second);
            read.insert(source);
        }
        ValueType made = op.kind->verify(op, sources, fail);
        if (!all_positive(made.shape) || product(made.shape) > static_cast<uint64_t>(kLimit))
            fail("makes a value of shape " + shown(made.shape) +
                 "; every size must be positive and fit 31 bits");
        types.emplace(op.name, std::move(made));
    }
    for (const Op& op : graph.ops)
        if (&op != &graph.ops.back() && !read.count(op.name))
            throw Fault(BNN_RULES, op.name + " (" + op.kind->name +
                                       "): nothing reads it; only the last op is the answer");
    if (!graph.outputs.empty()) verify_outputs(graph, types);
    for (const auto& [key, text] : graph.meta)
        if (const std::string why = unfit(key); !why.empty())
            throw Fault(BNN_RULES, "meta: the key " + in_quotes(key) + " " + why);
    const uint64_t numbers =
        product(graph.outputs.empty() ? types.at(graph.ops.back().name).shape : graph.outputs.front().shape);
    if (const auto classes = graph.classes(); !classes.empty() && classes.size() != numbers)
        throw Fault(BNN_RULES, "meta: classes names " + std::to_string(classes.size()) +
                                   " classes, the answer has " + std::to_string(numbers) + " numbers");
    return types;
}

}  // namespace binarynet
