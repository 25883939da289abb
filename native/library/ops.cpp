#include "library/ops.h"

namespace binarynet {

namespace {

uint64_t one(const Op&) {
    return 1;
}
uint64_t depth(const Op& op) {
    return product(op.weight.shape, 1);
}
uint64_t window(const Op& op) {
    return times(static_cast<uint64_t>(op.kernel[0]), static_cast<uint64_t>(op.kernel[1]));
}
uint64_t levels(const Op& op) {
    return static_cast<uint64_t>(Encoding::parse(op.encoding)->count() - 1);
}

}  // namespace

const std::vector<OpKind>& op_kinds() {
    static const std::vector<OpKind> kinds{
        {"Input", 0, {{"shape", &Op::shape}, {"encoding", &Op::encoding}}, verify_input, one, add_input},
        {"Linear",
         1,
         {{"weight", &Op::weight}, {"weight_encoding", &Op::weight_encoding}},
         verify_linear,
         depth,
         add_linear},
        {"Conv2d",
         1,
         {{"weight", &Op::weight},
          {"weight_encoding", &Op::weight_encoding},
          {"stride", &Op::stride},
          {"dilation", &Op::dilation},
          {"padding", &Op::padding},
          {"pad_value", &Op::pad_value},
          {"groups", &Op::groups}},
         verify_conv2d,
         depth,
         add_conv2d},
        {"Threshold",
         1,
         {{"thresholds", &Op::thresholds}, {"rising", &Op::rising}, {"encoding", &Op::encoding}},
         verify_threshold,
         levels,
         add_threshold},
        {"Affine", 1, {{"scale", &Op::scale}, {"offset", &Op::offset}}, verify_affine, one, add_affine},
        {"MaxPool2d",
         1,
         {{"kernel", &Op::kernel},
          {"stride", &Op::stride},
          {"minimum", &Op::minimum},
          {"padding", &Op::padding}},
         verify_max_pool2d,
         window,
         add_max_pool2d},
        {"SumPool2d",
         1,
         {{"kernel", &Op::kernel}, {"stride", &Op::stride}, {"padding", &Op::padding}},
         verify_sum_pool2d,
         window,
         add_sum_pool2d},
        {"Add", 2, {}, verify_add, one, add_add},
        {"Mul", 2, {}, verify_mul, one, add_mul},
        {"Relu", 1, {}, verify_relu, one, add_relu},
        {"PRelu", 1, {{"slope", &Op::slope}}, verify_prelu, one, add_prelu},
        {"Apply", 1, {{"function", &Op::function}}, verify_apply, one, add_apply},
        {"Take",
         1,
         {{"rows", &Op::rows}, {"columns", &Op::columns}, {"channels", &Op::channels}},
         verify_take,
         one,
         add_take},
        {"Concat", kSeveral, {}, verify_concat, one, add_concat},
        {"Flatten", 1, {}, verify_flatten, one, add_flatten},
        {"Unflatten", 1, {{"shape", &Op::shape}}, verify_unflatten, one, add_unflatten},
    };
    return kinds;
}

const OpKind* op_kind(const std::string& name) {
    for (const OpKind& kind : op_kinds())
        if (name == kind.name) return &kind;
    return nullptr;
}

}  // namespace binarynet
