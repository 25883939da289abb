"""Graph → native network, op by op: weights as packed planes of bits, thresholds and scales as plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binarynet import _native
from binarynet.errors import RuntimeUnavailable
from binarynet.format.packed import Packed
from binarynet.graph.ir import (
    Add,
    Affine,
    Apply,
    Concat,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from binarynet.graph.rules import Rules
from binarynet.graph.weights import held
from binarynet.runtime import prices

Network = _native.Network


@dataclass(frozen=True)
class Planned:
    """A step of the engine: the op it runs, ops that became part of it, and what that is expected to cost.

    ``seconds`` are those of the price list (`binarynet.runtime.prices`); `kernel` says how it is computed, the first
    word being one of ``popcount tiles vertical bitsliced counters lookup multiply`` for a Linear or a Conv2d.
    ``weight_bytes`` are those in memory, laid out for the kernel.
    """

    op: str
    kernel: str
    seconds: float
    weight_bytes: int
    fused: tuple[str, ...]


def build(graph: Graph, isa: str | None, threads: int | None, kernel: str | None = None) -> Network:
    """The network of a verified graph: every op, with every encoding that `binarynet.graph.verify` lets pass.

    Raises:
        RuntimeUnavailable: there is no such instruction set or kernel here, or an op cannot run on that kernel.
    """
    prices.use()
    try:
        network = Network(isa or "", threads or 0, kernel or "")
        numbers: dict[str, int] = {}
        for op in graph.ops:
            numbers[op.name] = RULES.of(op)(network, op, *(numbers[source] for source in op.sources))
        network.finish(numbers[graph.output.name])
    except ValueError as error:
        raise RuntimeUnavailable(str(error)) from None
    return network


def planned(network: Network, images: int) -> tuple[Planned, ...]:
    """The steps of a finished network, for a batch of so many images, in running order."""
    return tuple(
        Planned(op, kernel, seconds, weight_bytes, tuple(fused))
        for op, kernel, seconds, weight_bytes, fused, _ in network.plan(images)
    )


def _planes(op: Linear | Conv2d) -> NDArray[np.uint64]:
    """The weights' codes, (bits, out, words): bit n of all in plane n. A loaded op's are the words of its file."""
    weight = held(op)
    return (weight if isinstance(weight, Packed) else Packed.of(op.weight, op.weight_encoding)).codes()


def _linear(network: Network, op: Linear, source: int) -> int:
    if op.weight_encoding == "f32":
        return network.add_linear_f32(op.name, source, np.ascontiguousarray(op.weight))
    return network.add_linear(op.name, source, _planes(op), op.weight_encoding)


def _conv2d(network: Network, op: Conv2d, source: int) -> int:
    kernel = (op.weight_shape[1], op.weight_shape[2])
    window = (kernel, op.stride, op.dilation, op.padding, op.pad_value, op.groups)
    if op.weight_encoding == "f32":
        return network.add_conv2d_f32(op.name, source, np.ascontiguousarray(op.weight), *window)
    return network.add_conv2d(op.name, source, _planes(op), op.weight_encoding, *window)


def _threshold(network: Network, op: Threshold, source: int) -> int:
    rising = np.ascontiguousarray(op.rising)
    if op.thresholds.dtype == np.float32:
        reals = np.ascontiguousarray(op.thresholds, np.float32)
        return network.add_threshold_f32(op.name, source, reals, rising, op.encoding)
    return network.add_threshold_i32(
        op.name, source, np.ascontiguousarray(op.thresholds, np.int32), rising, op.encoding
    )


def _affine(network: Network, op: Affine, source: int) -> int:
    return network.add_affine(op.name, source, np.ascontiguousarray(op.scale), np.ascontiguousarray(op.offset))


def _max_pool2d(network: Network, op: MaxPool2d, source: int) -> int:
    return network.add_max_pool2d(op.name, source, op.kernel, op.stride, op.padding, np.ascontiguousarray(op.minimum))


def _sum_pool2d(network: Network, op: SumPool2d, source: int) -> int:
    return network.add_sum_pool2d(op.name, source, op.kernel, op.stride, op.padding)


def _take(network: Network, op: Take, source: int) -> int:
    return network.add_take(op.name, source, *map(np.ascontiguousarray, (op.rows, op.columns, op.channels)))


_ADD: dict[type[Op], Callable[..., int]] = {
    Input: lambda network, op: network.add_input(op.shape, op.encoding),
    Linear: _linear,
    Conv2d: _conv2d,
    Threshold: _threshold,
    Affine: _affine,
    MaxPool2d: _max_pool2d,
    SumPool2d: _sum_pool2d,
    Add: lambda network, op, left, right: network.add_add(op.name, left, right),
    Mul: lambda network, op, source, factor: network.add_mul(op.name, source, factor),
    Relu: lambda network, op, source: network.add_relu(op.name, source),
    PRelu: lambda network, op, source: network.add_prelu(op.name, source, np.ascontiguousarray(op.slope)),
    Apply: lambda network, op, source: network.add_apply(op.name, source, op.function),
    Take: _take,
    Concat: lambda network, op, *sources: network.add_concat(op.name, sources),
    Flatten: lambda network, op, source: network.add_flatten(op.name, source),
    Unflatten: lambda network, op, source: network.add_unflatten(op.name, source, op.shape),
}
RULES = Rules("runtime/native", _ADD, error=RuntimeUnavailable)
