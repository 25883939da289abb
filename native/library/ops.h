// One table for the whole reader: what an op of a file holds, what makes it valid, what it costs, and how the
// engine is given it. An op is one row of ops.cpp.
#pragma once

#include <functional>
#include <variant>

#include "library/graph.h"
#include "network/network.h"

namespace binarynet {

// A field of an op, as the JSON, or a tensor, holds it; by where Op keeps it. Packed fields stand in the JSON
// as NAME_shape, tensors do not stand there at all.
using Member = std::variant<std::string Op::*, int64_t Op::*, Sizes Op::*, Pair Op::*,
                            std::array<Pair, 2> Op::*, Packed Op::*, Tensor Op::*>;

struct Field {
    const char* name;
    Member member;
};

// Throws Fault(BNN_RULES), which names the op.
using Fail = std::function<void(const std::string&)>;
using Types = std::vector<const ValueType*>;
using Numbers = std::vector<int>;

constexpr size_t kSeveral = SIZE_MAX;  // as an arity: two or more

struct OpKind {
    const char* name;
    size_t arity;
    std::vector<Field> fields;
    // The type of the value that it makes of values of these types.
    ValueType (*verify)(const Op&, const Types& reads, const Fail& fail);
    // What one number of it takes: products, additions, comparisons.
    uint64_t (*each)(const Op&);
    // The engine's number of the value that it makes of those.
    int (*add)(Network&, const Op&, const Numbers& reads);
};

// In the order of docs/format.md; null if there is no such op.
const std::vector<OpKind>& op_kinds();
const OpKind* op_kind(const std::string& name);

// The rules of each op (verify.cpp, moves.cpp).
ValueType verify_input(const Op&, const Types&, const Fail&);
ValueType verify_linear(const Op&, const Types&, const Fail&);
ValueType verify_conv2d(const Op&, const Types&, const Fail&);
ValueType verify_threshold(const Op&, const Types&, const Fail&);
ValueType verify_affine(const Op&, const Types&, const Fail&);
ValueType verify_max_pool2d(const Op&, const Types&, const Fail&);
ValueType verify_sum_pool2d(const Op&, const Types&, const Fail&);
ValueType verify_add(const Op&, const Types&, const Fail&);
ValueType verify_mul(const Op&, const Types&, const Fail&);
ValueType verify_relu(const Op&, const Types&, const Fail&);
ValueType verify_prelu(const Op&, const Types&, const Fail&);
ValueType verify_apply(const Op&, const Types&, const Fail&);
ValueType verify_take(const Op&, const Types&, const Fail&);
ValueType verify_concat(const Op&, const Types&, const Fail&);
ValueType verify_flatten(const Op&, const Types&, const Fail&);
ValueType verify_unflatten(const Op&, const Types&, const Fail&);

// How the engine is given each (build.cpp).
int add_input(Network&, const Op&, const Numbers&);
int add_linear(Network&, const Op&, const Numbers&);
int add_conv2d(Network&, const Op&, const Numbers&);
int add_threshold(Network&, const Op&, const Numbers&);
int add_affine(Network&, const Op&, const Numbers&);
int add_max_pool2d(Network&, const Op&, const Numbers&);
int add_sum_pool2d(Network&, const Op&, const Numbers&);
int add_add(Network&, const Op&, const Numbers&);
int add_mul(Network&, const Op&, const Numbers&);
int add_relu(Network&, const Op&, const Numbers&);
int add_prelu(Network&, const Op&, const Numbers&);
int add_apply(Network&, const Op&, const Numbers&);
int add_take(Network&, const Op&, const Numbers&);
int add_concat(Network&, const Op&, const Numbers&);
int add_flatten(Network&, const Op&, const Numbers&);
int add_unflatten(Network&, const Op&, const Numbers&);

}  // namespace binarynet
