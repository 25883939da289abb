"""Analyses that the papers make of a network: repeated filters (`report/filters.py`), memory and energy.

**Energy.** A model, not a measurement: the operations and memory accesses of one image at the prices of a 45 nm chip
(M. Horowitz, "Computing's energy problem", ISSCC 2014), in pJ:

    ========= ===== ======== ===== ===== =====    ============ ===== ====== ===== ======
    operation int8  int32    fp16  fp32           64 bits from  8 KB  32 KB  1 MB  DRAM
    add       0.03  0.1      0.4   0.9                          10    20     100   1300
    multiply  0.2   3.1      1.1   3.7
    ========= ===== ======== ===== ===== =====    ============ ===== ====== ===== ======

What the table has not is assumed. A product of two one-bit digits, xor (or and) and its part of the popcount, costs as
much as two one-bit adders, each an eighth of an int8 addition, and a 64th of the int32 addition that takes up the count
of a word; K-bit operands have as many such products as pairs of digits; a real times ±1 or 0 is an fp32 addition. Each
array is read or written once per image, from the smallest memory that holds it (DRAM at its lower price). Accumulators
stay in registers. Control, and moving instructions, cost nothing. The float32 network is the same graph with float32
weights and values, and BatchNorm and a clip in the place of each threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

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
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from binarynet.graph.rules import Rules
from binarynet.report.filters import FilterRepetition, repetition
from binarynet.report.summary import macs

INT8_ADD, INT32_ADD, FLOAT_ADD, FLOAT_MULTIPLY = 0.03, 0.1, 0.9, 3.7  # pJ
BIT_ADD = INT8_ADD / 8
BIT_PRODUCT = 2 * BIT_ADD + INT32_ADD / 64
FLOAT_MAC = FLOAT_MULTIPLY + FLOAT_ADD
_FUNCTION = 12  # multiplications and additions of a function of `Apply`, about
MEMORIES = ((8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))  # (bytes, pJ for an access of 64 bits)
DRAM = 1300.0


@dataclass(frozen=True)
class Cost:
    """Of one image: bytes of parameters, bytes of values read and written, energy in pJ."""

    parameter_bytes: int
    value_bytes: int
    operations_pj: float
    accesses_pj: float

    @property
    def energy_pj(self) -> float:
        return self.operations_pj + self.accesses_pj


@dataclass(frozen=True)
class LayerCost:
    """One op of the graph as it is, and as float32 would have it."""

    layer: str
    op: str
    macs: int
    cost: Cost
    float32: Cost


@dataclass(frozen=True)
class Analysis:
    """`filters` has one entry a convolution with integer weights, `layers` one an op that costs anything."""

    filters: tuple[FilterRepetition, ...]
    layers: tuple[LayerCost, ...]

    @property
    def cost(self) -> Cost:
        return _total([layer.cost for layer in self.layers])

    @property
    def float32(self) -> Cost:
        return _total([layer.float32 for layer in self.layers])

    def document(self) -> dict[str, Any]:
        """All of it, with the totals, as plain dictionaries and numbers that `json.dumps` takes."""
        return {**asdict(self), "total": {"cost": asdict(self.cost), "float32": asdict(self.float32)}}


def analyse(graph: Graph) -> Analysis:
    """Count filters, bytes and energy of a graph.

    Raises:
        GraphError: the graph is not well-formed.
    """
    values = verify(graph)
    convolutions = [op for op in graph.ops if isinstance(op, Conv2d) and op.weight_encoding != "f32"]
    layers = []
    for op in graph.ops:
        reads, made = [values[source] for source in op.sources], values[op.name]
        price = RULES.of(op)(op, reads[0].encoding if reads else None, made)
        if price is not None:
            as_is, in_float = price
            cost = _cost(as_is, list(_parameters(op, in_float=False)), [*map(_bits, reads), _bits(made)])
            stored = [bits and 32 * prod(value.shape) for value in (*reads, made) for bits in (_bits(value),)]
            float32 = _cost(in_float, list(_parameters(op, in_float=True)), stored)
            layers.append(LayerCost(op.name, type(op).__name__, macs(op, made), cost, float32))
    return Analysis(tuple(map(repetition, convolutions)), tuple(layers))


Price = tuple[float, float]  # pJ of the arithmetic of one image, as the graph has it and in float32


def _nothing(op: Op, reads: Encoding | None, made: Value) -> None:
    """What costs nothing at all is not listed."""


def _product(op: Linear | Conv2d, reads: Encoding, made: Value) -> Price:
    weight = Encoding.parse(op.weight_encoding)
    if reads.is_float and (weight.kind == "t" or weight.bits == 1):
        product = FLOAT_ADD
    elif reads.is_float or weight.is_float:
        product = FLOAT_MAC
    else:
        product = BIT_PRODUCT * reads.bits * weight.bits
    return product * macs(op, made), FLOAT_MAC * macs(op, made)


def _threshold(op: Threshold, reads: Encoding, made: Value) -> Price:
    size = prod(made.shape)
    return _addition(reads) * op.thresholds.shape[1] * size, (FLOAT_MAC + FLOAT_ADD) * size


def _max_pool(op: MaxPool2d, reads: Encoding, made: Value) -> Price:
    steps = (prod(op.kernel) - 1) * prod(made.shape)
    return steps * (BIT_ADD if reads.bits == 1 else _addition(reads)), FLOAT_ADD * steps


def _sum_pool(op: SumPool2d, reads: Encoding, made: Value) -> Price:
    steps = (prod(op.kernel) - 1) * prod(made.shape)
    return _addition(reads) * steps, FLOAT_ADD * steps


def _one_addition(op: Op, reads: Encoding, made: Value) -> Price:
    return _addition(reads) * prod(made.shape), FLOAT_ADD * prod(made.shape)


def _one(price: float) -> Callable[..., Price]:
    return lambda op, reads, made: (price * prod(made.shape), price * prod(made.shape))


def _addition(reads: Encoding) -> float:
    return FLOAT_ADD if reads.is_float else INT32_ADD


_PRICES: dict[type[Op], Callable[..., Price | None]] = {
    Input: _nothing,
    Linear: _product,
    Conv2d: _product,
    Threshold: _threshold,
    Affine: _one(FLOAT_MAC),
    MaxPool2d: _max_pool,
    SumPool2d: _sum_pool,
    Add: _one_addition,
    Mul: _one(FLOAT_MULTIPLY),
    Relu: _one_addition,
    PRelu: _one(FLOAT_MULTIPLY),
    Apply: _one(_FUNCTION * FLOAT_MAC),
    Take: _one(0),  # it only touches memory
    Concat: _one(0),
    Flatten: _nothing,
    Unflatten: _nothing,
}
RULES = Rules("report/analysis", _PRICES)


def _parameters(op: Op, in_float: bool) -> Iterator[int]:
    """Bits of each array of parameters."""
    for _, array in op.arrays():
        if isinstance(op, Linear | Conv2d):
            yield array.size * (32 if in_float else Encoding.parse(op.weight_encoding).bits)
        elif isinstance(op, Threshold) and in_float:
            yield 32 * len(array)  # BatchNorm has a scale and an offset where this has thresholds and directions
        elif not (isinstance(op, MaxPool2d) and in_float):
            yield array.size * (1 if array.dtype == np.bool_ else 32)


def _bits(value: Value) -> int:
    """What has to be stored of a value; nothing of an accumulator."""
    return 0 if value.encoding == Encoding("i", 32) else prod(value.shape) * value.encoding.bits


def _cost(operations: float, parameters: list[int], values: list[int]) -> Cost:
    return Cost(
        sum(-(-bits // 8) for bits in parameters),
        sum(-(-bits // 8) for bits in values),
        operations,
        sum(_access(bits) for bits in (*parameters, *values)),
    )


def _access(bits: int) -> float:
    """pJ of touching each of so many bits once, 64 at a time, in the smallest memory that holds them."""
    words = -(-bits // 64)
    return words * next((price for size, price in MEMORIES if bits <= 8 * size), DRAM)


def _total(costs: list[Cost]) -> Cost:
    return Cost(
        sum(cost.parameter_bytes for cost in costs),
        sum(cost.value_bytes for cost in costs),
        sum(cost.operations_pj for cost in costs),
        sum(cost.accesses_pj for cost in costs),
    )
