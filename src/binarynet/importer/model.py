"""An ONNX file as plain data: nodes, constants, one input, its answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ImportedModelError
from binarynet.graph.outputs import LOGITS
from binarynet.importer import domains

Array = NDArray[Any]
_IMAGE, _NODES = 1 << 23, 1 << 14  # numbers of an image, nodes of a file


@dataclass(frozen=True)
class Node:
    """One node. ``domain`` is empty for standard operators."""

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: Any

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def refuse(self, what: str, way_out: str = "") -> NoReturn:
        """Raise the error of this node: where, what, why, and the way out."""
        raise ImportedModelError(f"{self.name} ({self.kind}): {what} {way_out}".rstrip())


@dataclass(frozen=True)
class Model:
    """``shape`` is of one image in ONNX's order; ``codes`` how many values the input's annotation allows, if it is
    annotated as unsigned integers; ``answers`` the outputs, `LOGITS` the first."""

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    input: str
    shape: tuple[int, ...]
    codes: int | None
    answers: tuple[str, ...]
    opset: int
    meta: dict[str, str]


@dataclass(frozen=True)
class Constant:
    """``unit``: of weights behind a quantizer, what an integer is worth; None if nothing is known of it."""

    value: Array
    unit: Array | None = None


def load(path: Path) -> Model:
    """Read a file.

    Raises:
        ImportedModelError: the packages are missing, the file is no ONNX model, or it has not one image in and an
            answer out.
    """
    from importlib.util import find_spec

    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise ImportedModelError(f"reading ONNX needs the package {package}: pip install 'binarynet[onnx]'")
    import onnx

    try:
        proto = onnx.load(path)
        _import_domains(proto)
        onnx.checker.check_model(proto)
    except OSError as error:
        raise ImportedModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # of protobuf and of the checker
        raise ImportedModelError(f"{path}: not a valid ONNX model: {str(error).splitlines()[0]}") from None
    graph = proto.graph
    constants = {one.name: _array(one, f"{path}: the constant {one.name!r}") for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1 or not graph.output:
        raise ImportedModelError(f"{path}: {len(inputs)} inputs, {len(graph.output)} outputs; one image in, an answer")
    answers = sorted((one.name for one in graph.output), key=lambda name: name != LOGITS)
    shape = tuple(int(one.dim_value) for one in inputs[0].type.tensor_type.shape.dim)[1:]
    if len(shape) not in (1, 2, 3) or min(shape) < 1 or prod(shape) > _IMAGE:
        raise ImportedModelError(
            f"{path}: the input {inputs[0].name!r} has the shape {shape} behind the batch; "
            "it must be (features,), (channels, length) or (channels, height, width), all of them known and no more "
            f"than {_IMAGE} numbers"
        )
    meta = {one.key: one.value for one in proto.metadata_props}
    opset = next((one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")), 13)
    if len(graph.node) > _NODES:
        raise ImportedModelError(f"{path}: {len(graph.node)} nodes, at most {_NODES} are read")
    nodes = tuple(part for k, one in enumerate(graph.node) for part in _apart(_node(one, k)))
    return Model(nodes, constants, inputs[0].name, shape, _codes(graph, inputs[0].name), tuple(answers), opset, meta)


def _array(proto: Any, what: str) -> Array:
    """The numbers of a tensor.

    Raises:
        ImportedModelError: it holds fewer or more than its shape says, or of a type that numpy has not.
    """
    import onnx

    try:
        return np.asarray(onnx.numpy_helper.to_array(proto))
    except Exception as error:  # ValueError, KeyError, TypeError … by what is wrong
        raise ImportedModelError(f"{what} is damaged: {type(error).__name__}: {error}") from None


def _import_domains(proto: Any) -> None:
    """Say that the file uses the domains whose nodes we read: exporters forget it, and the checker insists."""
    import onnx

    said = {one.domain for one in proto.opset_import}
    for domain in sorted({node.domain for node in proto.graph.node} - said):
        if domain in (*domains.QUANTIZERS, domains.LAST):
            proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))


def _node(proto: Any, place: int) -> Node:
    import onnx

    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in proto.attribute}
    attributes = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    name = proto.name or (proto.output[0] if proto.output else f"node {place}")
    return Node(name, proto.op_type, proto.domain, tuple(proto.input), tuple(proto.output), attributes, proto)


def _apart(node: Node) -> tuple[Node, ...]:
    """A Split as one node for each of its outputs, which it makes alone."""
    if node.kind != "Split" or node.domain:
        return (node,)
    return tuple(replace(node, name=f"{node.name}.{k}", outputs=(one,)) for k, one in enumerate(node.outputs) if one)


def _codes(graph: Any, name: str) -> int | None:
    for note in graph.quantization_annotation:
        for pair in note.quant_parameter_tensor_names:
            if note.tensor_name == name and pair.key == "finn_datatype":
                if pair.value == "BINARY":
                    return 2
                if re.fullmatch("UINT[1-8]", pair.value):
                    return 1 << int(pair.value[4:])
    return None


def constant(node: Node) -> Array:
    """The value of a Constant node."""

    if "value" in node.attributes:
        return _array(node.attributes["value"], f"{node.name} (Constant)")
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype)
    for name, dtype in (("value_floats", np.float32), ("value_ints", np.int64)):
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype)
    node.refuse("holds no number")
