"""What a node of a file may ask for, found out before it is run: few bytes must neither fill the memory nor take hours.

How much a node makes is asked of ONNX's own shape inference, with the sizes of what the node reads. Control flow, whose
end nobody can foresee, is refused.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from binarynet.importer.model import Array, Node

NUMBERS = 1 << 27  # in one value, and in all values that are kept of one file together
PRODUCTS = 1 << 33  # of one node, for one image
_SHAPES = 1024  # numbers of a constant that may say what shape is made; weights are larger and never do
_GRAPHS = (5, 10)  # attribute types of onnx that hold nodes of their own


def check(node: Node, inputs: list[Array | None], opset: int) -> None:
    """Refuse a node that would make too much, or run for too long.

    Raises:
        ImportedModelError: with the number, and what is taken.
    """
    for one in node.proto.attribute:
        if one.type in _GRAPHS:
            node.refuse("holds nodes of its own: loops and branches are not read.")
    shape = _made(node, inputs, opset)
    if shape is None:
        return  # it depends on the data, and is no larger than that
    count = prod(shape)
    if count > NUMBERS:
        node.refuse(f"would make {count} numbers; at most {NUMBERS} are taken.")
    if count * _each(node, inputs, shape) > PRODUCTS:
        node.refuse(f"would take {count * _each(node, inputs, shape)} products; at most {PRODUCTS} are taken.")


def _made(node: Node, inputs: list[Array | None], opset: int) -> tuple[int, ...] | None:
    """The shape of what a node makes, or None where it is not known before."""
    import onnx

    given = {name: array for name, array in zip(node.inputs, inputs, strict=True) if array is not None}
    of = onnx.helper.np_dtype_to_tensor_dtype
    infos = [onnx.helper.make_tensor_value_info(name, of(array.dtype), array.shape) for name, array in given.items()]
    small = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in given.items()
        if array.size <= _SHAPES and array.dtype.kind in "iu"
    ]
    answer = onnx.ValueInfoProto(name=node.outputs[0])
    graph = onnx.helper.make_graph([node.proto], "node", infos, [answer], small)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    try:
        found = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0].type.tensor_type
    except Exception:  # of several kinds; onnxruntime says what is wrong with the node
        return None
    if not found.HasField("shape") or not all(size.HasField("dim_value") for size in found.shape.dim):
        return None
    return tuple(int(size.dim_value) for size in found.shape.dim)


def _each(node: Node, inputs: list[Array | None], shape: tuple[int, ...]) -> int:
    """Products, or numbers under a window, behind one number that a node makes."""
    weight: Any = inputs[1] if len(inputs) > 1 else None
    if node.kind in ("Conv", "Gemm", "MatMul") and weight is not None and weight.size and shape:
        outs = weight.shape[0] if node.kind == "Conv" else shape[-1]
        return max(1, int(weight.size) // max(1, outs))
    kernel = node.get("kernel_shape", None)
    return max(1, prod(int(side) for side in kernel)) if isinstance(kernel, list) else 1
