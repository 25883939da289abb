"""ONNX of standard operators only, for any engine that reads it. See docs/export.md.

Accumulators are int32 tensors, so what an engine fuses above them cannot change a sum; products are float32 matrix
products of small integers, whose sums are exact in any order. ±1 weights are stored as bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.emit import Options
from binarynet.export.onnx.dialect import EXACT, Dialect, Tensor, from_onnx, to_onnx
from binarynet.export.onnx.writer import need
from binarynet.graph import Encoding, Graph, Op, Value
from binarynet.graph.ir import Conv2d, Input, Linear, Threshold

DOMAINS: dict[str, int] = {}


def refuses(op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """Everything is supported."""
    return None


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write NAME.onnx: bytes (N, channels, height, width) in, logits out, of operator set 13."""
    return [Standard("onnx", graph, options).write(folder / options.file(".onnx"), DOMAINS)]


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> NDArray[Any]:
    """What onnxruntime answers to a batch of input codes, in the oracle's shape and type.

    Raises:
        ExportError: onnxruntime is not installed.
    """
    need("onnx", "onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / options.file(".onnx"), providers=["CPUExecutionProvider"])
    found = [session.run(None, {"images": to_onnx(codes[k : k + 500])})[0] for k in range(0, len(codes), 500)]
    return from_onnx(np.concatenate(found))


class Standard(Dialect):
    """Standard operators; accumulators are int32."""

    whole = np.int32

    def input_type(self) -> Any:
        return np.float32 if self.values[self.graph.input.name].encoding.is_float else np.uint8

    def input(self, op: Input, value: Value) -> str:
        if value.encoding.is_float:
            return "images"
        codes = self.node("Cast", ["images"], "codes", to=self.type(np.float32))
        if value.encoding.kind != "b":
            return codes
        twice = self.node("Mul", [codes, self.scalar(2)], "codes.twice")
        return self.node("Sub", [twice, self.scalar(value.encoding.high)], "numbers")

    def real(self, x: Tensor) -> str:
        return self.node("Cast", [x.name], f"{x.name}.real", to=self.type(np.float32)) if x.is_accumulator else x.name

    def product(self, op: Linear | Conv2d, x: Tensor) -> str:
        columns = self.columns(op, x)
        if columns.dtype == np.float32:
            return self.multiply(op, self.real(x), self.constant(f"{op.name}.weight", columns), op.name)
        if self.values[op.name].encoding.is_float:
            return self.multiply(op, self.real(x), self._weight(op, columns), op.name)
        sums = [
            self.multiply(op, x.name, self._weight(op, part), f"{op.name}.sum")
            for part in _pieces(columns, x.value.bound)
        ]
        whole = f"{op.name}.whole" if len(sums) > 1 else op.name
        parts = [self.node("Cast", [one], whole, to=self.type(np.int32)) for one in sums]
        return self.total(op, parts) if len(parts) > 1 else parts[0]

    def _weight(self, op: Linear | Conv2d, columns: NDArray[Any]) -> str:
        """±1 as eight bits a byte, other integers as int8; both become float32 once, when the engine loads them."""
        name = f"{op.name}.weight"
        if op.weight_encoding != "b1" or not np.all(columns):
            return self.node("Cast", [self.constant(f"{name}.int8", columns)], name, to=self.type(np.float32))
        packed = np.packbits(columns.reshape(-1) > 0, bitorder="little")
        stored = self.constant(f"{name}.bits", packed[:, None])
        places = self.constant("places", np.arange(8, dtype=np.uint8))
        shifted = self.node("BitShift", [stored, places], f"{name}.shifted", direction="RIGHT")
        digits = self.node("Mod", [shifted, self.scalar(2, np.uint8)], f"{name}.digits")
        flat = self.node("Reshape", [digits, self.indices(-1)], f"{name}.flat")
        if packed.size * 8 > columns.size:
            flat = self.node("Slice", [flat, self.indices(0), self.indices(columns.size)], f"{name}.whole")
        shaped = self.node("Reshape", [flat, self.indices(*columns.shape)], f"{name}.shaped")
        set_ = self.node("Cast", [shaped], f"{name}.set", to=self.type(np.bool_))
        return self.node("Where", [set_, self.scalar(1), self.scalar(-1)], name)

    def threshold(self, op: Threshold, x: Tensor) -> str:
        made = Encoding.parse(op.encoding)
        rising, levels = op.rising, op.thresholds.shape[1]
        if levels == 1:
            limit = self.channels(f"{op.name}.threshold", op.thresholds[:, 0], x)
            sides = None if rising.all() else self.channels(f"{op.name}.rising", rising, x)
            reached = self._reached(op, x.name, limit, sides)
            return self._last(op, "Where", reached, self.scalar(made.high), self.scalar(made.low))
        limits, rise = (array if x.order is None else array[x.order] for array in (op.thresholds, rising[:, None]))
        if len(x.value.shape) == 3:
            limits, rise = limits[:, None, None], rise[:, None, None]
        spread = self.node("Unsqueeze", [x.name, self.indices(-1)], f"{op.name}.spread")
        limit = self.constant(f"{op.name}.thresholds", limits)
        reached = self._reached(op, spread, limit, None if rising.all() else self.constant(f"{op.name}.rising", rise))
        ones = self.node("Cast", [reached], f"{op.name}.ones", to=self.type(np.float32))
        count = self.node("ReduceSum", [ones, self.indices(-1)], f"{op.name}.count", keepdims=0)
        stepped = self.node("Mul", [count, self.scalar(made.step)], f"{op.name}.stepped")
        return self._last(op, "Add", stepped, self.scalar(made.low))

    def _reached(self, op: Threshold, name: str, limit: str, rising: str | None) -> str:
        """(x ≥ t) = rising."""
        reached = self.node("GreaterOrEqual", [name, limit], f"{op.name}.reached")
        return reached if rising is None else self.node("Equal", [reached, rising], f"{op.name}.holds")


def _pieces(weight: NDArray[Any], largest: int) -> list[NDArray[Any]]:
    """Weights as a sum of weights, none of whose products with numbers up to ``largest`` leaves what float32 holds
    exactly: half of the depth each, the rest 0."""
    rows = np.abs(weight.astype(np.int64)).reshape(len(weight), -1)  # (out, depth)
    if largest * rows.sum(axis=1).max() < EXACT:
        return [weight]
    used = np.flatnonzero(rows.any(axis=0))
    first = np.zeros(rows.shape[1], np.int8)
    first[used[: len(used) // 2]] = 1
    mask: NDArray[Any] = first.reshape(weight.shape[1:])
    return _pieces(weight * mask, largest) + _pieces(weight * (1 - mask), largest)
