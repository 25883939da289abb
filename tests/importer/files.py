"""Small QONNX files, written node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'binarynet[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'binarynet[onnx]'")
QONNX = "qonnx.custom_op.general"
CUSTOM = ("BipolarQuant", "Quant", "IntQuant", "MultiThreshold", "Trunc")


class File:
    """Nodes in a row, each reading the one before it; arrays among the inputs become initializers."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.last = shape, "x"
        self.makes = shape  # the shape of the last value, as far as weights tell it
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, kind: str, *inputs: Any, of: str | None = None, domain: str | None = None, **attributes: Any) -> str:
        """A node that reads ``of`` (default: the last value) and then ``inputs``."""
        if kind in ("Gemm", "MatMul") and not isinstance(inputs[0], str):
            self.makes = (np.shape(inputs[0])[0 if kind == "Gemm" else 1],)
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        made = f"{kind.lower()}{len(self.nodes)}"
        where = (QONNX if kind in CUSTOM else "") if domain is None else domain
        read = [self.last if of is None else of, *names]
        self.nodes.append(onnx.helper.make_node(kind, read, [made], name=made, domain=where, **attributes))
        self.last = made
        return made

    def bipolar(self, scale: float = 1.0) -> str:
        return self.node("BipolarQuant", scale)

    def quant(self, scale: Any, bits: float, signed: int = 1, narrow: int = 0, zero: float = 0.0, **more: Any) -> str:
        return self.node("Quant", scale, zero, bits, signed=signed, narrow=narrow, **{"rounding_mode": "ROUND", **more})

    def norm(self, channels: int, seed: int = 0) -> str:
        """Means that are whole numbers, β = 0 on every second channel (ties), γ < 0 and γ = 0."""
        rng = np.random.default_rng(seed)
        gamma = rng.normal(size=channels)
        gamma[0] = 0
        beta = np.where(np.arange(channels) % 2, rng.normal(size=channels), 0)
        mean, variance = rng.integers(-6, 7, channels), rng.uniform(0.1, 40, channels)
        return self.node("BatchNormalization", gamma, beta, mean, variance, epsilon=1e-5)

    def weights(self, *shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), shape)

    def save(self, path: Path, opset: int = 13) -> Path:
        value = onnx.helper.make_tensor_value_info
        ends = [value(name, onnx.TensorProto.FLOAT, (1, *shape)) for name, shape in self._ends()]
        graph = onnx.helper.make_graph(self.nodes, "net", ends[:1], ends[1:], self.constants)
        opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(QONNX, 2)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path

    def _ends(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return ("x", self.shape), (self.last, self.makes)
