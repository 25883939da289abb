"""The same network in float32, as ONNX: its products in their shapes, with a ReLU where ours has a threshold.

    python benchmarks/web/float_net.py MODEL.bnn FLOAT.onnx

For chains of Conv2d, Linear, Threshold, MaxPool2d, Flatten and Affine. Weights are the model's own ±1 as float32: what
they are does not change how long they take.
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

from binarynet.errors import run_script
from binarynet.format import load
from binarynet.graph import Graph
from binarynet.graph.ir import Affine, Conv2d, Flatten, Linear, MaxPool2d, Threshold


def float_net(graph: Graph) -> onnx.ModelProto:
    nodes, weights, value = [], [], "image"
    height, width, channels = graph.input.shape

    def constant(name: str, numbers: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(numbers, np.float32), name))
        return name

    def node(kind: str, *inputs: str, **attributes: object) -> None:
        nonlocal value
        nodes.append(helper.make_node(kind, [value, *inputs], [made := f"value{len(nodes)}"], **attributes))
        value = made

    for op in graph.ops[1:]:
        if isinstance(op, Conv2d):
            (top, bottom), (left, right) = op.padding
            kernel = constant(op.name, op.weight.transpose(0, 3, 1, 2))
            bias = constant(f"{op.name}.bias", np.zeros(len(op.weight)))
            node("Conv", kernel, bias, strides=list(op.stride), pads=[top, left, bottom, right], group=op.groups)
        elif isinstance(op, Linear):
            node("Gemm", constant(op.name, op.weight), constant(f"{op.name}.bias", np.zeros(len(op.weight))), transB=1)
        elif isinstance(op, Threshold):
            node("Relu")
        elif isinstance(op, MaxPool2d):
            node("MaxPool", kernel_shape=list(op.kernel), strides=list(op.stride))
        elif isinstance(op, Flatten):
            node("Flatten")
        elif not isinstance(op, Affine):
            raise SystemExit(f"{op.name}: {type(op).__name__} has no counterpart here")
    nodes[-1].output[0] = "logits"
    made = helper.make_graph(
        nodes,
        "float",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", channels, height, width])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", None])],
        weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    run_script(lambda: onnx.save(float_net(load(sys.argv[1])), sys.argv[2]))
