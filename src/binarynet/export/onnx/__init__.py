"""ONNX of standard operators only, for any engine that reads it. See docs/export.md.

Accumulators are int32 tensors, so what an engine fuses above them cannot change a sum; products are float32 matrix
products of small integers, whose sums are exact in any order. ±1 weights are stored as bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.onnx.dialect import EXACT, NODES, Dialect, from_onnx, to_onnx
from binarynet.export.onnx.moves import Tensor
from binarynet.export.onnx.writer import need
from binarynet.export.options import Options
from binarynet.graph import Encoding, Graph, Op, Value
from binarynet.graph.ir import Conv2d, Input, Linear, Threshold
from binarynet.graph.rules import Rules

DOMAINS: dict[str, int] = {}
# Byte → its eight bits as ±1, the lowest first. A table, since some engines shift constant bytes wrongly
# (OpenVINO 2026.4 folds a BitShift of uint8 into other numbers).
_SIGNS = 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.int8) - 1


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
    found = [session.run(None, {"images": to_onnx(codes[k : k + 500])}) for k in range(0, len(codes), 500)]
    return from_onnx(graph, [np.concatenate(parts) for parts in zip(*found, strict=True)])


class Standard(Dialect):
    """Standard operators; accumulators are int32."""

    whole = np.int32
    rules = Rules("export/onnx", NODES, error=ExportError)

    def __init__(self, target: str, graph: Graph, options: Options) -> None:
        super().__init__(target, graph, options)
        self.reals: dict[str, str] = {}  # accumulator → the same numbers as float32

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
        if not x.is_accumulator:
            return x.name
        if x.name not in self.reals:
            self.reals[x.name] = self.node("Cast", [x.name], f"{x.name}.real", to=self.type(np.float32))
        return self.reals[x.name]

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
        if len(sums) > 1:
            parts = [self.node("Cast", [one], f"{op.name}.whole", to=self.type(np.int32)) for one in sums]
            return self.total(op, parts)
        limits = [self.scalar(-EXACT), self.scalar(EXACT)]
        real = self.node("Clip", [*sums, *limits], f"{op.name}.real")
        whole = self._last(op, "Cast", real, to=self.type(np.int32))
        self.reals[whole] = real
        return whole

    def _weight(self, op: Linear | Conv2d, columns: NDArray[Any]) -> str:
        """±1 as eight bits a byte, other integers as int8; both become float32 once, when the engine loads them."""
        name = f"{op.name}.weight"
        if op.weight_encoding != "b1" or not np.all(columns):
            return self.node("Cast", [self.constant(f"{name}.int8", columns)], name, to=self.type(np.float32))
        packed = np.packbits(columns.reshape(-1) > 0, bitorder="little")
        stored = self.node("Cast", [self.constant(f"{name}.bits", packed)], f"{name}.bytes", to=self.type(np.int32))
        signs = self.node("Gather", [self.constant("signs.of.a.byte", _SIGNS), stored], f"{name}.signs", axis=0)
        if packed.size * 8 > columns.size:
            signs = self.node("Reshape", [signs, self.indices(-1)], f"{name}.flat")
            signs = self.node("Slice", [signs, self.indices(0), self.indices(columns.size)], f"{name}.whole")
        shaped = self.node("Reshape", [signs, self.indices(*columns.shape)], f"{name}.int8")
        return self.node("Cast", [shaped], name, to=self.type(np.float32))

    def threshold(self, op: Threshold, x: Tensor) -> str:
        made = Encoding.parse(op.encoding)
        rising, levels = op.rising, op.thresholds.shape[1]
        if x.is_accumulator and op.encoding == "b1" and 2 * x.value.bound < EXACT:
            return self._sign(op, x)
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

    def _sign(self, op: Threshold, x: Tensor) -> str:
        """±1 of a sum: sum − t + ½ is at least ½ from 0, so that cutting it to ±½ and doubling it is its sign."""
        bound = x.value.bound + 1
        shift = 0.5 - np.clip(op.thresholds[:, 0], -bound, bound).astype(np.float32)
        shifted = self.node("Add", [self.real(x), self.channels(f"{op.name}.shift", shift, x)], f"{op.name}.shifted")
        half = self.node("Clip", [shifted, self.scalar(-0.5), self.scalar(0.5)], f"{op.name}.half")
        turn = np.where(op.rising, 2, -2).astype(np.float32)
        twice = self.scalar(2) if op.rising.all() else self.channels(f"{op.name}.turn", turn, x)
        return self._last(op, "Mul", half, twice)

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
