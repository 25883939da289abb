// In the order of src/binarynet/format/container.py: where a file is wrong twice, both find the same first.
#include "library/reader.h"

#include "base/bits.h"
#include "library/container.h"
#include "library/json.h"
#include "library/ops.h"
#include "library/text.h"
#include "library/verify.h"

namespace binarynet {

namespace {

using Tensors = std::map<std::string, Tensor>;

constexpr int64_t kVersion = 1, kVersionOfSeveral = 2;  // of files with one answer, and with several

template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

[[noreturn]] void refuse_field(const std::string& where, const std::string& why) {
    throw Fault(BNN_FIELDS, where + ": " + why);
}
[[noreturn]] void refuse_tensor(const std::string& where, const std::string& why) {
    throw Fault(BNN_TENSORS, where + ": " + why);
}

std::string text(const Json& value, const std::string& where) {
    if (!value.is_string()) refuse_field(where, "is not a text");
    return value.get<std::string>();
}

int64_t whole(const Json& value, const std::string& where) {
    if (!value.is_number_integer()) refuse_field(where, "is not a whole number");
    return value.get<int64_t>();
}

const Json& list(const Json& value, const std::string& where) {
    if (!value.is_array()) refuse_field(where, "is not a list");
    return value;
}

Sizes wholes(const Json& value, const std::string& where) {
    Sizes found;
    for (const Json& item : list(value, where)) found.push_back(whole(item, where));
    return found;
}

Pair pair(const Json& value, const std::string& where) {
    if (list(value, where).size() != 2) refuse_field(where, "is not a list of 2");
    return {whole(value[0], where), whole(value[1], where)};
}

std::array<Pair, 2> pairs(const Json& value, const std::string& where) {
    if (list(value, where).size() != 2) refuse_field(where, "is not a list of 2");
    return {pair(value[0], where), pair(value[1], where)};
}

// Type and shape of a tensor that holds `shape` values of an encoding, and the bits behind the last of a row.
void check_words(const Tensor& tensor, const Sizes& shape, const Encoding& code, const std::string& where) {
    constexpr uint64_t kMost = std::min<uint64_t>(uint64_t{1} << 40, SIZE_MAX / 2);
    if (shape.empty() || !all_positive(shape) || product(shape) >= kMost)
        refuse_tensor(where, "shape " + shown(shape) + " needs positive sizes");
    if (code.is_float()) {
        if (tensor.type != Tensor::f32 || tensor.shape != shape)
            refuse_tensor(where, tensor.text() + ", but it is F32 " + shown(shape));
        return;
    }
    const bool rows = shape.size() > 1;
    const auto depth = static_cast<size_t>(rows ? product(shape, 1) : product(shape));
    const size_t words = words_for(depth);
    Sizes expected;
    if (code.bits > 1) expected.push_back(code.bits);
    if (rows) expected.push_back(shape[0]);
    expected.push_back(static_cast<int64_t>(words));
    if (tensor.type != Tensor::u64 || tensor.shape != expected)
        refuse_tensor(where, tensor.text() + ", but " + shown(shape) + " of " + code.name() + " is U64 " +
                                 shown(expected));
    for (size_t i = words - 1; depth % kWord && i < tensor.numbers(); i += words)
        if (tensor.at<uint64_t>(i) >> depth % kWord)
            refuse_tensor(where, "a bit behind the last value is not 0");
}

// Do the bits mean values that a weight can have? +1 is not 0 in t2; b8 and u8 stay within int8.
bool are_weights(const Tensor& tensor, const Encoding& code, size_t depth) {
    const size_t plane = tensor.numbers() / static_cast<size_t>(code.bits), words = words_for(depth);
    const size_t top = plane * static_cast<size_t>(code.bits - 1);
    for (size_t i = 0; i < plane; ++i) {
        const uint64_t high = tensor.at<uint64_t>(top + i);
        if (code.kind == 't' && (high & ~tensor.at<uint64_t>(i))) return false;
        if (code == Encoding{'u', 8} && high) return false;
        if (code == Encoding{'b', 8}) {  // codes 64 … 191
            const bool last = i % words == words - 1 && depth % kWord;
            const uint64_t used = last ? low_bits(depth % kWord) : ~uint64_t{0};
            if ((high ^ tensor.at<uint64_t>(top - plane + i)) != used) return false;
        }
    }
    return true;
}

Tensor take(Tensors& tensors, const std::string& name, const std::string& where) {
    auto node = tensors.extract(name);
    if (node.empty()) refuse_tensor(where, "tensor " + in_quotes(name) + " is missing");
    return std::move(node.mapped());
}

Packed packed(const Op& op, const Field& field, const Json& entry, Tensors& tensors,
              const std::string& where) {
    const std::string name = op.name + "." + field.name, what = where + ": tensor " + in_quotes(name);
    if (!tensors.count(name)) refuse_tensor(where, "tensor " + in_quotes(name) + " is missing");
    Packed found;
    found.shape = wholes(entry[std::string(field.name) + "_shape"], where + ": " + field.name + "_shape");
    found.tensor = take(tensors, name, where);
    const bool weight = std::get<Packed Op::*>(field.member) == &Op::weight;
    const auto code = weight ? Encoding::parse(op.weight_encoding) : Encoding{'b', 1};
    if (!code) refuse_field(what, "unknown encoding " + in_quotes(op.weight_encoding));
    check_words(found.tensor, found.shape, *code, what);
    if (!weight || code->is_float()) return found;
    if (found.shape.size() < 2)
        refuse_tensor(what, "shape " + shown(found.shape) + " of a weight needs two sizes or more");
    if (!are_weights(found.tensor, *code, product(found.shape, 1)))
        refuse_tensor(
            what, "holds a weight that " + code->name() + " does not have, or that is outside −128 … 127");
    return found;
}

// One op from its JSON object; takes its tensors out of `tensors`.
Op read_op(const Json& entry, Tensors& tensors) {
    if (!entry.is_object()) throw Fault(BNN_FIELDS, "an op is no JSON object");
    const auto named = entry.find("op");
    const std::string kind = named != entry.end() && named->is_string() ? named->get<std::string>() : "";
    Op op;
    op.kind = op_kind(kind);
    if (!op.kind) throw Fault(BNN_FIELDS, "unknown op " + in_quotes(kind));

    const auto called = entry.find("name");
    const std::string where =
        (called != entry.end() && called->is_string() ? called->get<std::string>() : "an op") + " (" + kind +
        ")";
    size_t keys = 3;  // op, name, sources
    bool all = entry.contains("name") && entry.contains("sources");
    for (const Field& field : op.kind->fields) {
        if (std::holds_alternative<Tensor Op::*>(field.member)) continue;
        const bool shape_only = std::holds_alternative<Packed Op::*>(field.member);
        all = all && entry.contains(std::string(field.name) + (shape_only ? "_shape" : ""));
        ++keys;
    }
    if (!all || entry.size() != keys) refuse_field(where, "has other keys than it needs");

    op.name = text(entry["name"], where + ": name");
    for (const Json& source : list(entry["sources"], where + ": sources"))
        op.sources.push_back(text(source, where + ": sources"));
    for (const Field& field : op.kind->fields) {
        const auto value = entry.find(field.name);
        const std::string what = where + ": " + field.name;
        std::visit(Overloaded{[&](std::string Op::* member) { op.*member = text(*value, what); },
                              [&](int64_t Op::* member) { op.*member = whole(*value, what); },
                              [&](Sizes Op::* member) { op.*member = wholes(*value, what); },
                              [&](Pair Op::* member) { op.*member = pair(*value, what); },
                              [&](std::array<Pair, 2> Op::* member) { op.*member = pairs(*value, what); },
                              [](Packed Op::*) {}, [](Tensor Op::*) {}},
                   field.member);
    }
    for (const Field& field : op.kind->fields) {
        if (std::holds_alternative<Packed Op::*>(field.member))
            op.*std::get<Packed Op::*>(field.member) = packed(op, field, entry, tensors, where);
        if (!std::holds_alternative<Tensor Op::*>(field.member)) continue;
        Tensor& tensor = op.*std::get<Tensor Op::*>(field.member);
        tensor = take(tensors, op.name + "." + field.name, where);
        if (tensor.type == Tensor::u64)
            refuse_tensor(where, std::string(field.name) + " holds words, needs I32 or F32");
    }
    return op;
}

// What a file with several answers says of each.
std::vector<Output> read_outputs(const Json& listed) {
    if (!listed.is_array() || listed.size() < 2)
        throw Fault(BNN_FIELDS, "outputs must be a list of two or more; version 1 has one answer");
    std::vector<Output> found;
    for (const Json& entry : listed) {
        if (!entry.is_object() || entry.size() != 2 || !entry.contains("name") || !entry.contains("shape"))
            throw Fault(BNN_FIELDS, "outputs: each needs exactly the keys name, shape");
        found.push_back({text(entry["name"], "outputs: name"), wholes(entry["shape"], "outputs: shape")});
    }
    return found;
}

}  // namespace

Model read_model(const uint8_t* bytes, size_t count, const Limits& limits) {
    Container container = open_container(bytes, count);
    const Json document = parse_json(container.graph, "the graph under 'binarynet'", BNN_JSON);
    if (!document.is_object()) throw Fault(BNN_FIELDS, "the graph is not a JSON object");
    const auto version = document.find("version");
    const int64_t known =
        version != document.end() && version->is_number_integer() ? version->get<int64_t>() : 0;
    if (known != kVersion && known != kVersionOfSeveral)
        throw Fault(BNN_VERSION,
                    "another format version; this release reads versions 1 and 2: write the file again, or "
                    "upgrade binarynet");
    const std::string actual = checksum(bytes, count);
    const auto digest = document.find("sha256");
    if (digest == document.end() || !digest->is_string() || digest->get<std::string>() != actual)
        throw Fault(BNN_CHECKSUM,
                    "the checksum does not match (content is " + actual + "): it was damaged or edited");
    const auto ops = document.find("ops"), meta = document.find("meta"), outputs = document.find("outputs");
    const bool several = known == kVersionOfSeveral;
    if (document.size() != (several ? 5 : 4) || ops == document.end() || meta == document.end() ||
        !ops->is_array() || (several && outputs == document.end()))
        throw Fault(BNN_FIELDS, "the graph needs exactly the keys version, sha256, meta, ops" +
                                    std::string(several ? ", outputs" : ""));
    Model model;
    if (!meta->is_object()) throw Fault(BNN_FIELDS, "meta must map names to texts");
    for (const auto& [key, value] : meta->items()) {
        if (!value.is_string()) throw Fault(BNN_FIELDS, "meta must map names to texts");
        model.graph.meta.emplace(key, value.get<std::string>());
    }
    if (several) model.graph.outputs = read_outputs(*outputs);
    limits.check_ops(ops->size());
    for (const Json& entry : *ops) model.graph.ops.push_back(read_op(entry, container.tensors));
    if (!container.tensors.empty())
        throw Fault(BNN_TENSORS,
                    "tensors that no op owns: " + in_quotes(container.tensors.begin()->first) + " …");
    model.types = verify(model.graph);
    limits.check(model.graph, model.types);
    return model;
}

}  // namespace binarynet
