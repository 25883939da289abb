"""Graph → native network, op by op. What the native engine cannot run is refused here, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet import _native
from binarynet.errors import RuntimeUnavailable
from binarynet.format.bits import pack, words_for
from binarynet.graph.ir import (
    Add,
    Affine,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Op,
    PRelu,
    Relu,
    SumPool2d,
    Threshold,
    Value,
)

Network = _native.Network
_PACKED_AT_ONCE = 256


def build(graph: Graph, values: dict[str, Value], isa: str | None, threads: int | None) -> Network:
    """The network of a verified graph; ``values`` is what `binarynet.graph.verify` returned for it.

    Raises:
        RuntimeUnavailable: there is no such instruction set here, or the graph holds what the native engine cannot run.
    """
    try:
        network = Network(isa or "", threads or 0)
    except ValueError as error:
        raise RuntimeUnavailable(str(error)) from None
    numbers: dict[str, int] = {}
    for op in graph.ops:
        if isinstance(op, Input):
            numbers[op.name] = network.add_input(op.shape, op.encoding)
            continue
        why = _unsupported(op, values)
        if why:
            raise RuntimeUnavailable(
                f"{op.name} ({type(op).__name__}): the native engine {why}; run it with engine='oracle'"
            )
        numbers[op.name] = _ADD[type(op)](network, op, *(numbers[source] for source in op.sources))
    network.finish(numbers[graph.output.name])
    return network


def _unsupported(op: Op, values: dict[str, Value]) -> str | None:
    if isinstance(op, Linear | Conv2d):
        if op.weight_encoding != "b1":
            return f"multiplies by b1 weights, and these are {op.weight_encoding}"
        if values[op.source].encoding.kind not in "bu":
            return f"multiplies bits and codes, and {op.source} is {values[op.source].encoding}"
    if isinstance(op, Threshold) and op.encoding != "b1":
        return f"makes b1, and this threshold makes {op.encoding}"
    return None


def _rows(weight: NDArray[Any]) -> NDArray[np.uint64]:
    """(out, …) → (out, words): one packed row for each output channel, a few at a time to keep memory low."""
    flat = weight.reshape(len(weight), -1)
    rows = np.empty((len(flat), words_for(flat.shape[1])), np.uint64)
    for start in range(0, len(flat), _PACKED_AT_ONCE):
        part = slice(start, start + _PACKED_AT_ONCE)
        rows[part] = pack(flat[part])
    return rows


def _linear(network: Network, op: Linear, source: int) -> int:
    return network.add_linear(op.name, source, _rows(op.weight))


def _conv2d(network: Network, op: Conv2d, source: int) -> int:
    kernel = (op.weight.shape[1], op.weight.shape[2])
    return network.add_conv2d(
        op.name, source, _rows(op.weight), kernel, op.stride, op.dilation, op.padding, op.pad_value, op.groups
    )


def _threshold(network: Network, op: Threshold, source: int) -> int:
    first, rising = op.thresholds[:, 0], np.ascontiguousarray(op.rising)
    if first.dtype == np.float32:
        return network.add_threshold_f32(op.name, source, np.ascontiguousarray(first, np.float32), rising)
    return network.add_threshold_i32(op.name, source, np.ascontiguousarray(first, np.int32), rising)


def _affine(network: Network, op: Affine, source: int) -> int:
    return network.add_affine(op.name, source, np.ascontiguousarray(op.scale), np.ascontiguousarray(op.offset))


def _max_pool2d(network: Network, op: MaxPool2d, source: int) -> int:
    return network.add_max_pool2d(op.name, source, op.kernel, op.stride, op.padding, np.ascontiguousarray(op.minimum))


def _sum_pool2d(network: Network, op: SumPool2d, source: int) -> int:
    return network.add_sum_pool2d(op.name, source, op.kernel, op.stride, op.padding)


_ADD: dict[type[Op], Callable[..., int]] = {
    Linear: _linear,
    Conv2d: _conv2d,
    Threshold: _threshold,
    Affine: _affine,
    MaxPool2d: _max_pool2d,
    SumPool2d: _sum_pool2d,
    Add: lambda network, op, left, right: network.add_add(op.name, left, right),
    Relu: lambda network, op, source: network.add_relu(op.name, source),
    PRelu: lambda network, op, source: network.add_prelu(op.name, source, np.ascontiguousarray(op.slope)),
    Flatten: lambda network, op, source: network.add_flatten(op.name, source),
}
