"""What a model is made of, layer by layer: shapes, encodings, parameters, bits, binary MACs, bytes moved, kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from binarynet.errors import takes
from binarynet.graph import Encoding, Graph, Op, Value, verify
from binarynet.graph.ir import (
    Add,
    Affine,
    Apply,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Pair,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from binarynet.graph.rules import Rules
from binarynet.runtime import Session

Moves = tuple[Pair, Pair, Pair]  # a window's kernel, dilation and stride


@dataclass(frozen=True)
class Expected:
    """How a batch runs an op, and for how long (`binarynet.runtime.Planned`)."""

    kernel: str
    seconds: float


@dataclass(frozen=True)
class Layer:
    """One op of the graph. Counts are for one image; ``reach`` is the receptive field in input pixels.

    ``kernel`` is that of the first batch size, ``memory`` the bytes of weights laid out for it; ``expected`` maps batch
    sizes to how they run, and is empty for ops that cost nothing or are part of another. ``real``: whether it reads,
    holds or makes float32.
    """

    name: str
    op: str
    reads: str
    makes: str
    weights: str
    parameters: int
    stored_bits: int
    binary_macs: int
    bytes_moved: int
    reach: tuple[int, int]
    kernel: str
    memory: int
    expected: dict[int, Expected]
    real: bool


@dataclass(frozen=True)
class Summary:
    """All layers, and the totals of the file; ``seconds`` by batch size also hold what stands between the ops."""

    layers: tuple[Layer, ...]
    file_bytes: int
    float32_bytes: int
    binary_macs: int
    memory: int
    seconds: dict[int, float]

    @property
    def shrink(self) -> float:
        return self.float32_bytes / self.file_bytes

    def real_share(self, batch: int) -> tuple[float, float, float]:
        """What part of the MACs, of the bytes moved and of the expected time of a batch is float32, each of 1: why a
        network that is called binary may be slow."""

        def part(of: Callable[[Layer], float]) -> float:
            whole = sum(map(of, self.layers))
            return sum(of(layer) for layer in self.layers if layer.real) / whole if whole else 0.0

        def seconds(layer: Layer) -> float:
            return layer.expected[batch].seconds if batch in layer.expected else 0.0

        return part(lambda layer: layer.binary_macs), part(lambda layer: layer.bytes_moved), part(seconds)


@takes(graph=(Graph, "a Graph"), session=(Session, "a Session of that graph"))
def summarise(graph: Graph, file_bytes: int, session: Session, batches: tuple[int, ...] = (1,)) -> Summary:
    """``session`` is the graph's; how it runs batches of these sizes is part of the summary."""
    values, kernels = verify(graph), session.kernels
    plans = {batch: {step.op: step for step in session.plan(batch)} for batch in batches}
    reaches = _reaches(graph, values)
    # A value between two ops that run as one never leaves the registers.
    inside = {op.source for op in graph.ops if kernels.get(op.name, "").startswith("part of")}
    layers = []
    for op in graph.ops:
        read = [values[source] for source in op.sources]
        arrays = [array for _, array in op.arrays()]
        parameters = sum(array.size for array in arrays if array.dtype != np.bool_)
        stored = sum(_stored_bits(op, array) for array in arrays)
        moved = -(-stored // 8) + sum(_bytes(values[name]) for name in (*op.sources, op.name) if name not in inside)
        layers.append(
            Layer(
                name=op.name,
                op=type(op).__name__,
                reads=" + ".join(map(str, read)) or "—",
                makes=str(values[op.name]),
                weights=RULES.of(op).weights(op),
                parameters=parameters,
                stored_bits=stored,
                binary_macs=macs(op, values[op.name]),
                bytes_moved=moved,
                reach=reaches[op.name],
                kernel=kernels.get(op.name, "—"),
                memory=sum(step.weight_bytes for step in plans[batches[0]].values() if step.op == op.name),
                expected={
                    batch: Expected(steps[op.name].kernel, steps[op.name].seconds)
                    for batch, steps in plans.items()
                    if op.name in steps
                },
                real=any(value.encoding.is_float for value in (*read, values[op.name]))
                or getattr(op, "weight_encoding", "") == "f32",
            )
        )
    return Summary(
        layers=tuple(layers),
        file_bytes=file_bytes,
        float32_bytes=4 * sum(layer.parameters for layer in layers),
        binary_macs=sum(layer.binary_macs for layer in layers),
        memory=sum(layer.memory for layer in layers),
        seconds={batch: sum(step.seconds for step in session.plan(batch)) for batch in batches},
    )


def macs(op: Op, made: Value) -> int:
    """Multiply-accumulates of one image: each is one xor and popcount contribution (for b8 inputs, eight)."""
    return prod(made.shape) * RULES.of(op).depth(op)


def _stored_bits(op: Op, array: Any) -> int:
    if array.dtype == np.int8:
        assert isinstance(op, Linear | Conv2d)
        return int(array.size) * Encoding.parse(op.weight_encoding).bits
    return int(array.size) * (1 if array.dtype == np.bool_ else 32)


def _bytes(value: Value) -> int:
    return -(-prod(value.shape) * value.encoding.bits // 8)


@dataclass(frozen=True)
class Facts:
    """What a summary says of an op: its parameters in words, products in one number, and its `Moves`."""

    weights: Callable[[Any], str] = lambda op: ""
    depth: Callable[[Any], int] = lambda op: 0
    moves: Callable[[Any], Moves] = lambda op: ((1, 1), (1, 1), (1, 1))


def _weights(op: Linear | Conv2d) -> str:
    return f"{'×'.join(map(str, op.weight_shape))} {op.weight_encoding}"


def _depth(op: Linear | Conv2d) -> int:
    return prod(op.weight_shape[1:])


def _pooled(op: MaxPool2d | SumPool2d) -> Moves:
    return op.kernel, (1, 1), op.stride


def _taken(op: Take) -> Moves:
    """By how many pixels of the source it goes on from one of its own to the next, at most."""
    rows, columns = (int(max(1, np.abs(np.diff(places)).max(initial=1))) for places in (op.rows, op.columns))
    return (1, 1), (1, 1), (rows, columns)


_FACTS: dict[type[Op], Facts] = {
    Input: Facts(),
    Linear: Facts(_weights, _depth),
    Conv2d: Facts(_weights, _depth, lambda op: (op.weight_shape[1:3], op.dilation, op.stride)),
    Threshold: Facts(lambda op: f"{op.thresholds.size} thresholds, {int((~op.rising).sum())} falling"),
    Affine: Facts(lambda op: f"{op.scale.size} scales and offsets"),
    MaxPool2d: Facts(lambda op: f"minimum on {sum(op.minimum)} channels" if op.minimum.any() else "", moves=_pooled),
    SumPool2d: Facts(moves=_pooled),
    Add: Facts(),
    Mul: Facts(),
    Relu: Facts(),
    PRelu: Facts(lambda op: f"{op.slope.size} slopes"),
    Apply: Facts(lambda op: op.function),
    Take: Facts(lambda op: f"takes {len(op.rows)}×{len(op.columns)}×{len(op.channels)}", moves=_taken),
    Concat: Facts(),
    Flatten: Facts(),
    Unflatten: Facts(),
}
RULES = Rules("report/summary", _FACTS)


def _reaches(graph: Graph, values: dict[str, Value]) -> dict[str, tuple[int, int]]:
    """Receptive field of one output pixel: a window of k at distance d widens it by d (k − 1) input steps."""
    reach: dict[str, tuple[int, int]] = {}
    step: dict[str, tuple[int, int]] = {}
    whole = graph.input.shape[:2] if len(graph.input.shape) == 3 else (1, 1)
    for op in graph.ops:
        if isinstance(op, Input):
            reach[op.name], step[op.name] = (1, 1), (1, 1)
            continue
        before = max((reach[source] for source in op.sources), default=(1, 1))
        stride = step[op.sources[0]]
        if len(values[op.name].shape) == 1:
            reach[op.name], step[op.name] = (whole[0], whole[1]), (1, 1)
            continue
        kernel, stretch, jump = RULES.of(op).moves(op)
        reach[op.name] = tuple(  # type: ignore[assignment]
            b + s * d * (k - 1) for b, s, d, k in zip(before, stride, stretch, kernel, strict=True)
        )
        step[op.name] = (stride[0] * jump[0], stride[1] * jump[1])
    return reach
