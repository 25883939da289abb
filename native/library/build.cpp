#include "library/build.h"

#include "base/bits.h"
#include "library/ops.h"

namespace binarynet {

namespace {

size_t size(int64_t number) {
    return static_cast<size_t>(number);
}

// Planes of the codes (w − low) / step: those of the file, but of i the top digit is turned round, and t2
// counts 0, 1, 2 for −1, 0, +1.
PackedWeights weights(const Op& op) {
    const Encoding code = *Encoding::parse(op.weight_encoding);
    PackedWeights made{Code::parse(op.weight_encoding), size(op.weight.shape[0]),
                       op.weight.tensor.copy<uint64_t>()};
    const size_t depth = product(op.weight.shape, 1), words = words_for(depth);
    const size_t plane = made.words.size() / size(code.bits), top = made.words.size() - plane;
    const auto used = [&](size_t i) {
        return i % words == words - 1 && depth % kWord ? low_bits(depth % kWord) : ~uint64_t{0};
    };
    for (size_t i = 0; i < plane && (code.kind == 'i' || code.kind == 't'); ++i) {
        uint64_t &low = made.words[i], &high = made.words[top + i];
        if (code.kind == 'i') {
            high ^= used(i);
        } else {
            high &= low;
            low ^= used(i);
        }
    }
    return made;
}

Window window(const Op& op, const Pair& kernel) {
    Window made{};
    made.kernel_height = size(kernel[0]);
    made.kernel_width = size(kernel[1]);
    made.stride_y = size(op.stride[0]);
    made.stride_x = size(op.stride[1]);
    made.dilation_y = size(op.dilation[0]);
    made.dilation_x = size(op.dilation[1]);
    made.top = size(op.padding[0][0]);
    made.bottom = size(op.padding[0][1]);
    made.left = size(op.padding[1][0]);
    made.right = size(op.padding[1][1]);
    return made;
}

std::vector<uint8_t> yes_no(const Packed& packed) {
    std::vector<uint8_t> made(product(packed.shape));
    for (size_t i = 0; i < made.size(); ++i) made[i] = packed.tensor.at<uint64_t>(i / kWord) >> i % kWord & 1;
    return made;
}

}  // namespace

int add_input(Network& network, const Op& op, const Numbers&) {
    return network.add_input({op.shape.begin(), op.shape.end()}, op.encoding);
}

int add_linear(Network& network, const Op& op, const Numbers& reads) {
    if (op.weight_encoding == "f32")
        return network.add_linear(op.name, reads[0], op.weight.tensor.copy<float>(),
                                  size(op.weight.shape[0]));
    return network.add_linear(op.name, reads[0], weights(op));
}

int add_conv2d(Network& network, const Op& op, const Numbers& reads) {
    const Window over = window(op, {op.weight.shape[1], op.weight.shape[2]});
    const int pad = static_cast<int>(op.pad_value);
    if (op.weight_encoding == "f32")
        return network.add_conv2d(op.name, reads[0], op.weight.tensor.copy<float>(), size(op.weight.shape[0]),
                                  over, size(op.groups), pad);
    return network.add_conv2d(op.name, reads[0], weights(op), over, size(op.groups), pad);
}

int add_threshold(Network& network, const Op& op, const Numbers& reads) {
    ThresholdTable table{{}, {}, yes_no(op.rising), Code::parse(op.encoding)};
    if (op.thresholds.type == Tensor::f32)
        table.f32 = op.thresholds.copy<float>();
    else
        table.i32 = op.thresholds.copy<int32_t>();
    return network.add_threshold(op.name, reads[0], std::move(table));
}

int add_affine(Network& network, const Op& op, const Numbers& reads) {
    return network.add_affine(op.name, reads[0], {op.scale.copy<float>(), op.offset.copy<float>()});
}

int add_max_pool2d(Network& network, const Op& op, const Numbers& reads) {
    return network.add_max_pool2d(op.name, reads[0], window(op, op.kernel), yes_no(op.minimum));
}

int add_sum_pool2d(Network& network, const Op& op, const Numbers& reads) {
    return network.add_sum_pool2d(op.name, reads[0], window(op, op.kernel));
}

int add_add(Network& network, const Op& op, const Numbers& reads) {
    return network.add_add(op.name, reads[0], reads[1]);
}

int add_mul(Network& network, const Op& op, const Numbers& reads) {
    return network.add_mul(op.name, reads[0], reads[1]);
}

int add_relu(Network& network, const Op& op, const Numbers& reads) {
    return network.add_relu(op.name, reads[0]);
}

int add_prelu(Network& network, const Op& op, const Numbers& reads) {
    return network.add_prelu(op.name, reads[0], op.slope.copy<float>());
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

int add_flatten(Network& network, const Op& op, const Numbers& reads) {
    return network.add_flatten(op.name, reads[0]);
}

int add_unflatten(Network& network, const Op& op, const Numbers& reads) {
    return network.add_unflatten(op.name, reads[0],
                                 {size(op.shape[0]), size(op.shape[1]), size(op.shape[2])});
}

void build(Network& network, const Graph& graph) {
    std::map<std::string, int> made;
    for (const Op& op : graph.ops) {
        Numbers reads;
        for (const std::string& source : op.sources) reads.push_back(made.at(source));
        made[op.name] = op.kind->add(network, op, reads);
    }
    network.finish(made.at(graph.ops.back().name));
}

}  // namespace binarynet
