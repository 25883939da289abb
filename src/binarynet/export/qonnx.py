"""QONNX for FINN, hls4ml and the `qonnx` package: weights and activations behind quantizers. See docs/export.md.

All tensors are float32, as these tools want it; a weight stands behind a BipolarQuant or an IntQuant that leaves it as
it is. A ±1 threshold is a Mul by ±1 where it falls, an Add, and a BipolarQuant; one of several levels is a
MultiThreshold. (QONNX: Pappalardo et al. 2022, arXiv:2206.07527.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.emit import unsupported
from binarynet.export.onnx.dialect import EXACT, NODES, Dialect, from_onnx, to_onnx
from binarynet.export.onnx.moves import Tensor
from binarynet.export.onnx.writer import need
from binarynet.export.options import Options
from binarynet.graph import Encoding, Graph, Op, Value, verify
from binarynet.graph.ir import Conv2d, Input, Linear, SumPool2d, Threshold
from binarynet.graph.rules import Rules

DOMAIN = "qonnx.custom_op.general"
CHECKED = 1000  # images that --check runs; the qonnx package runs one node after the other, as a new session each
_BATCH = 250


def refuses(op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """All encodings are supported."""
    return None


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write NAME.onnx: one image (1, channels, height, width) of bytes as float32 in, logits out."""
    return [Quantized("qonnx", graph, options).write(folder / options.file(".onnx"), {DOMAIN: 2})]


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> NDArray[Any]:
    """What the qonnx package answers to a batch of input codes, in the oracle's shape and type.

    Raises:
        ExportError: the packages qonnx or onnxruntime are not installed.
    """
    found = outputs(folder / options.file(".onnx"), to_onnx(codes).astype(np.float32))
    real = verify(graph)[graph.output.name].encoding.is_float
    return from_onnx(graph, list(found.values())).astype(np.float32 if real else np.int32)


def executed(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first of `outputs`."""
    return next(iter(outputs(path, images).values()))


def outputs(path: Path, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What the qonnx package answers: any QONNX file of one input, images in its own layout.

    Raises:
        ExportError: the packages qonnx or onnxruntime are not installed.
    """
    need("qonnx", "qonnx", "onnxruntime")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.change_batchsize import ChangeBatchSize
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(path))
    name, answers = model.graph.input[0].name, [one.name for one in model.graph.output]
    found: dict[str, list[NDArray[np.float32]]] = {one: [] for one in answers}
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        sized = model.transform(ChangeBatchSize(len(batch)))
        for one in answers[1:]:  # that changes the first alone
            sized.set_tensor_shape(one, [len(batch), *sized.get_tensor_shape(one)[1:]])
        sized = sized.transform(InferShapes())
        made = execute_onnx(sized, {name: batch})
        for one in answers:
            found[one].append(made[one])
    return {one: np.concatenate(parts) for one, parts in found.items()}


class Quantized(Dialect):
    """All is float32; quantizers of the QONNX domain say what is smaller."""

    whole = np.float32
    rules = Rules("export/qonnx", NODES, error=ExportError)
    batch = 1

    def __init__(self, target: str, graph: Graph, options: Options) -> None:
        super().__init__(target, graph, options)
        for op in graph.ops:
            bound = self.values[op.name].bound
            if bound >= EXACT:
                raise unsupported(target, op, f"has only float32, and its sums may reach ±{bound}, past 2^24")

    def input_type(self) -> Any:
        return np.float32

    def input(self, op: Input, value: Value) -> str:
        if value.encoding.kind != "b":
            return "images"
        twice = self.node("Mul", ["images", self.scalar(2)], "codes.twice")
        return self.node("Add", [twice, self.scalar(-value.encoding.high)], "numbers")

    def annotations(self) -> tuple[Any, ...]:
        """The input's data type, where FINN and qonnx look for it."""
        encoding = self.values[self.graph.input.name].encoding
        if encoding.is_float:
            return ()
        onnx = self._onnx
        kind = "BINARY" if encoding.bits == 1 else f"UINT{encoding.bits}"
        pair = onnx.StringStringEntryProto(key="finn_datatype", value=kind)
        return (onnx.TensorAnnotation(tensor_name="images", quant_parameter_tensor_names=[pair]),)

    def real(self, x: Tensor) -> str:
        return x.name

    def product(self, op: Linear | Conv2d, x: Tensor) -> str:
        columns = self.columns(op, x).astype(np.float32)
        weight = self.constant(f"{op.name}.weight", columns)
        if op.weight_encoding == "b1":
            weight = self._custom("BipolarQuant", [weight, self.scalar(1)], f"{op.name}.bipolar")
        elif op.weight_encoding != "f32":
            code = Encoding.parse(op.weight_encoding)
            # A bipolar code of K bits is odd; K + 1 bits in two's complement hold it.
            bits = code.bits + 1 if code.kind == "b" else code.bits
            inputs = [weight, self.scalar(1), self.scalar(0), self.scalar(bits)]
            attributes = {"signed": int(code.kind != "u"), "narrow": int(code.kind in "bt"), "rounding_mode": "ROUND"}
            weight = self._custom("IntQuant", inputs, f"{op.name}.quant", **attributes)
        return self.multiply(op, x.name, weight, op.name)

    def sum_pool(self, op: SumPool2d, x: Tensor) -> str:
        """Of integers a depthwise Conv of ones, which is exact, and which other tools know."""
        if x.value.encoding.is_float:
            return super().sum_pool(op, x)
        ones = np.ones((x.value.channels, *op.kernel, 1), np.int8)
        conv = Conv2d(op.name, op.sources, ones, "b1", op.stride, (1, 1), op.padding, groups=x.value.channels)
        weight = self.constant(f"{op.name}.ones", self.columns(conv, x).astype(np.float32))
        return self.multiply(conv, x.name, weight, op.name)

    def threshold(self, op: Threshold, x: Tensor) -> str:
        """(x ≥ t), or where it falls (x < t) = (−x ≥ −t′), t′ the largest number below t."""
        made = Encoding.parse(op.encoding)
        below = _below(op.thresholds)
        limits: list[NDArray[Any]] = [op.thresholds, below]
        if op.thresholds.dtype != np.float32:
            # Nothing lies past the bounds, so what is out there decides alike at their edge, which float32 holds.
            bound = self.values[op.source].bound
            limits = [np.clip(array, -bound - 1, bound + 1) for array in limits]
        upper, lower = (array.astype(np.float32) for array in limits)
        levels = np.sort(np.where(op.rising[:, None], upper, -lower), axis=1)  # (channels, levels)
        name = x.name
        if not op.rising.all():
            flips = self.channels(f"{op.name}.flip", np.where(op.rising, 1, -1).astype(np.float32), x)
            name = self.node("Mul", [name, flips], f"{op.name}.flipped")
        if made.count == 2 and made.kind == "b":
            shift = self.channels(f"{op.name}.shift", -levels[:, 0], x)
            shifted = self.node("Add", [name, shift], f"{op.name}.shifted")
            return self._custom("BipolarQuant", [shifted, self.scalar(1)], op.name)
        table = self.constant(f"{op.name}.thresholds", levels if x.order is None else levels[x.order])
        kind = {"b": f"INT{made.bits + 1}", "u": f"UINT{made.bits}", "i": f"INT{made.bits}", "t": "TERNARY"}[made.kind]
        layout = "NCHW" if len(x.value.shape) == 3 else "NC"
        attributes = {"out_dtype": "BINARY" if str(made) == "u1" else kind, "data_layout": layout}
        scales = {"out_scale": float(made.step), "out_bias": float(made.low)}
        return self._custom("MultiThreshold", [name, table], op.name, **attributes, **scales)

    def _custom(self, kind: str, inputs: list[str], makes: str, **attributes: Any) -> str:
        return self.node(kind, inputs, makes, domain=DOMAIN, **attributes)


def _below(thresholds: NDArray[Any]) -> NDArray[Any]:
    """The largest number below each."""
    real = thresholds.dtype == np.float32
    below: NDArray[Any] = np.nextafter(thresholds, np.float32(-np.inf)) if real else thresholds.astype(np.int64) - 1
    return below
