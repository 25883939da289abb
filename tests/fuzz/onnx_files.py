"""Mutated ONNX files: a model, or an `ImportedModelError`."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from binarynet.errors import ImportedModelError
from binarynet.export import Options, write
from binarynet.graph import verify
from binarynet.importer import import_onnx
from tests.export.graphs import convnet, mlp, ternary
from tests.fuzz.mutate import NUMBERS, TEXTS, cut, flipped
from tests.fuzz.target import Target, refused

SIZES = (0, 1, -1, 2, 3, 8, 2**16, 2**20, 2**31 - 1, 2**31, 2**40, 2**62, -(2**31))
KINDS = (
    "Loop",
    "If",
    "Scan",
    "ConstantOfShape",
    "Expand",
    "Tile",
    "Range",
    "Pad",
    "Resize",
    "OneHot",
    "Gather",
    "Slice",
)
KINDS += ("Concat", "Split", "Shape", "Size", "NonZero", "Where", "Einsum", "RandomNormal", "Cast", "Reshape", "Relu")
KINDS += ("Identity", "Transpose", "Add", "Mul", "Div", "MatMul", "Conv", "ConvTranspose", "MaxPool", "Sign", "Nothing")


@cache
def seeds() -> list[bytes]:
    """Small files: what we export ourselves, and nodes as other programs write them."""
    from tests.importer.files import File

    made = []
    with tempfile.TemporaryDirectory() as folder:
        for maker in (mlp, convnet, ternary):
            graph = maker().graph()
            for target in ("qonnx", "onnx"):
                (path,) = write(graph, target, Path(folder), Options("net"))
                made.append(path.read_bytes())
        for bits in (1, 2, 4):
            file = File(12)
            file.quant(1 / 3, 8.0, signed=0)
            file.node("Gemm", file.weights(5, 12), transB=1)
            file.norm(5)
            file.bipolar() if bits == 1 else file.quant(0.5, float(bits))
            file.node("Gemm", file.weights(3, 5), transB=1)
            made.append(file.save(Path(folder) / "file.onnx").read_bytes())
    return made


def make(random: Random) -> tuple[str, bytes]:
    import onnx

    content = random.choice(seeds())
    how = random.randrange(8)
    if how == 0:
        return "bytes", flipped(content, random)
    if how == 1:
        return "cut", cut(content, random)
    model = onnx.ModelProto.FromString(content)
    changes = {"node": _node, "attribute": _attribute, "constant": _constant, "ends": _ends, "added": _added}
    kinds = random.choices(list(changes), k=random.choice((1, 1, 2, 3)))
    for kind in kinds:
        changes[kind](model, random)
    return " and ".join(sorted(set(kinds))), model.SerializeToString()


def _node(model: Any, random: Random) -> None:
    nodes = model.graph.node
    node = random.choice(nodes)
    names = [name for one in nodes for name in (*one.input, *one.output)] + list(TEXTS[:6])
    how = random.randrange(7)
    if how == 0:
        nodes.remove(node)
    elif how == 1:
        node.op_type = random.choice((*KINDS, "Quant", "BipolarQuant", "MultiThreshold"))
    elif how == 2:
        node.domain = random.choice(("", "qonnx.custom_op.general", "ai.onnx.ml", "nowhere", "\n"))
    elif how == 3 and node.input:
        node.input[random.randrange(len(node.input))] = random.choice(names)
    elif how == 4 and node.input:
        del node.input[random.randrange(len(node.input))]
    elif how == 5:
        node.output[0] = random.choice(names)
    else:
        node.input.append(random.choice(names))


def _attribute(model: Any, random: Random) -> None:
    import onnx

    node = random.choice(model.graph.node)
    if not node.attribute:
        name = random.choice(("axis", "axes", "perm", "pads", "strides", "value", "to", "group", "alpha", "transB"))
        node.attribute.append(onnx.helper.make_attribute(name, random.choice((1, [1, -1], 0.5, "text"))))
        return
    one = random.choice(node.attribute)
    how = random.randrange(6)
    if how == 0:
        node.attribute.remove(one)
    elif how == 1:
        one.name = random.choice(("axis", "pads", "kernel_shape", "x", ""))
    elif how == 2:
        one.type = random.choice((1, 2, 3, 4, 5, 6, 7, 8))
    elif one.ints:
        one.ints[random.randrange(len(one.ints))] = random.choice(SIZES)
        if random.random() < 0.3:
            one.ints.append(random.choice(SIZES))
    elif one.HasField("s"):
        one.s = random.choice(TEXTS).encode("utf-8", "replace")
    elif one.HasField("f"):
        one.f = random.choice((0.0, -1.0, float("nan"), float("inf"), 1e38))
    else:
        one.i = random.choice([number for number in NUMBERS if -(2**63) <= number < 2**63])


def _constant(model: Any, random: Random) -> None:
    if not model.graph.initializer:
        return
    one = random.choice(model.graph.initializer)
    how = random.randrange(6)
    if how == 0:
        one.data_type = random.choice((0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 16, 99))
    elif how == 1 and one.dims:
        one.dims[random.randrange(len(one.dims))] = random.choice(SIZES)
    elif how == 2:
        one.dims.append(random.choice(SIZES))
    elif how == 3:
        one.raw_data = flipped(one.raw_data, random) if one.raw_data else random.randbytes(4)
    elif how == 4:
        one.data_location = 1
        entry = one.external_data.add()
        entry.key, entry.value = "location", random.choice(("/etc/passwd", "../x", "nowhere", ""))
    else:
        values = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e38, 1e-45, 1 / 3], np.float32)
        one.raw_data = random.choice(values).tobytes() * max(1, len(one.raw_data) // 4)


def _ends(model: Any, random: Random) -> None:
    graph = model.graph
    how = random.randrange(5)
    if how == 0:
        dims = graph.input[0].type.tensor_type.shape.dim
        if dims:
            random.choice(dims).dim_value = random.choice(SIZES)
    elif how == 1:
        graph.input[0].type.tensor_type.elem_type = random.randrange(17)
    elif how == 2:
        graph.output[0].name = random.choice([name for node in graph.node for name in node.output] or ["x"])
    elif how == 3:
        model.opset_import[0].version = random.choice((0, 1, 7, 11, 13, 21, 99, 2**62))
    else:
        model.metadata_props.add(key=random.choice(TEXTS[:5]), value=random.choice(TEXTS[:5]))


def _added(model: Any, random: Random) -> None:
    """A node of constants alone, which asks for much or for control flow."""
    import onnx

    kind = random.choice(KINDS[:12])
    sizes = [random.choice(SIZES) for _ in range(random.randint(1, 3))]
    graph = model.graph
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(sizes, np.int64), "sizes"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1, np.float32), "one"))
    given = {"ConstantOfShape": ["sizes"], "Range": ["sizes"] * 3}.get(kind, ["one", "sizes"])
    attributes: dict[str, Any] = {}
    if kind in ("Loop", "If", "Scan"):
        value = onnx.helper.make_tensor_value_info
        body = onnx.helper.make_graph([], "body", [], [value("one", 1, [1])])
        attributes = {"body": body} if kind == "Loop" else {"then_branch": body, "else_branch": body}
    graph.node.insert(0, onnx.helper.make_node(kind, given, ["made"], **attributes))
    reader = random.choice(graph.node[1:]) if len(graph.node) > 1 else None
    if reader is not None and reader.input and random.random() < 0.7:
        reader.input[random.randrange(len(reader.input))] = "made"


def attempt(content: bytes, folder: Path) -> str:
    path = folder / "file.onnx"
    path.write_bytes(content)
    try:
        with np.errstate(all="ignore"):
            graph = import_onnx(path, allow_real=len(content) % 2 == 0)
    except ImportedModelError as error:
        return refused(error)
    verify(graph)
    return "imported, and proved equal"


TARGET = Target("onnx", make, attempt)
