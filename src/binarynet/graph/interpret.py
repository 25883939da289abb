"""The oracle: what a graph answers, in plain integer arithmetic, without packing. Slow and obvious on purpose.

Every engine must equal it with ``==``. Numbers are held as float64 or float32 only inside `exact_matmul`, where
their sums stay so small that each of them is an exact integer whatever the order of addition.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import takes
from binarynet.graph.encoding import Encoding
from binarynet.graph.functions import apply
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
    Padding,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
    window_output,
)
from binarynet.graph.rules import Rules

Array = NDArray[Any]


@takes(graph=(Graph, "a Graph"), images=(np.ndarray, "an array of codes (n, …)"))
def interpret(graph: Graph, images: Array) -> Array:
    """The graph's answer to a batch of input codes.

    ``images`` (n, *graph.input.shape): uint8 codes for integer inputs (0 / 1 for b1), float32 for f32.
    Returns (n, *output shape): int32 for integer answers (numbers, not codes), float32 for real ones.
    """
    return trace(graph, images)[graph.output.name]


@takes(graph=(Graph, "a Graph"), images=(np.ndarray, "an array of codes (n, …)"))
def trace(graph: Graph, images: Array) -> dict[str, Array]:
    """Every value of the graph by name, as numbers: int32 or float32, with the batch in front."""
    values: dict[str, Array] = {}
    for op in graph.ops:
        values[op.name] = step(op, *([values[name] for name in op.sources] if op.sources else [images]))
    return values


def step(op: Op, *inputs: Array) -> Array:
    """One op on the numbers that it reads, the batch in front; an `Input` on its codes."""
    made: Array = RULES.of(op)(op, *inputs)
    return made


def decode(codes: Array, encoding: Encoding) -> Array:
    """Codes → the numbers that they mean."""
    if encoding.is_float:
        return codes.astype(np.float32)
    if encoding.kind == "b":
        return 2 * codes.astype(np.int32) - encoding.high
    return codes.astype(np.int32)


def _input(op: Input, images: Array) -> Array:
    return decode(images, Encoding.parse(op.encoding))


def exact_matmul(x: Array, weight: Array) -> Array:
    """x (…, depth) @ weight (out, depth)ᵀ → (…, out), exact for integers; with a real operand, in float32.

    Floats hold all integers up to 2^24 (single) and 2^53 (double), so below that bound the order of summation
    does not matter and the fast float product *is* the integer product.
    """
    if np.float32 in (x.dtype, weight.dtype):
        real: Array = np.matmul(x.astype(np.float32), weight.T.astype(np.float32))
        return real
    # −128 has no absolute value in int8, so numbers are made wide, or Python's, before a sign is taken away.
    largest = max(int(x.max(initial=0)), -int(x.min(initial=0)))
    bound: int = largest * int(np.abs(weight.astype(np.int64)).sum(axis=1).max(initial=0))
    exact = np.float32 if bound < 2**24 else np.float64
    whole: Array = np.matmul(x.astype(exact), weight.astype(exact).T).astype(np.int32)
    return whole


def _linear(op: Linear, x: Array) -> Array:
    return exact_matmul(x, op.weight)


def _windows(x: Array, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Any:
    """For each place of the kernel (row, column): the part of x (n, h, w, c) that lies under it, (n, oh, ow, c)."""
    rows = window_output(x.shape[1], kernel[0], stride[0], dilation[0], (0, 0))
    columns = window_output(x.shape[2], kernel[1], stride[1], dilation[1], (0, 0))
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilation[0], column * dilation[1]
            yield (
                (row, column),
                x[:, top : top + rows * stride[0] : stride[0], left : left + columns * stride[1] : stride[1]],
            )


def _pad(x: Array, padding: Padding, value: float) -> Array:
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=value)


def _conv2d(op: Conv2d, x: Array) -> Array:
    x = _pad(x, op.padding, op.pad_value)
    out_group, in_group = op.weight.shape[0] // op.groups, op.weight.shape[3]
    acc: Array | None = None
    for (row, column), under in _windows(x, (op.weight.shape[1], op.weight.shape[2]), op.stride, op.dilation):
        tap = op.weight[:, row, column]  # (out, in / groups)
        parts = [
            exact_matmul(under[..., g * in_group : (g + 1) * in_group], tap[g * out_group : (g + 1) * out_group])
            for g in range(op.groups)
        ]
        part = np.concatenate(parts, axis=-1)  # (n, oh, ow, out)
        acc = part if acc is None else acc + part
    assert acc is not None
    return acc


def _threshold(op: Threshold, x: Array) -> Array:
    encoding = Encoding.parse(op.encoding)
    count = np.zeros(x.shape, np.int32)
    for level in op.thresholds.T:  # (channels,), one level after the other: all at once would be 255 times the memory
        count += (x >= level) == op.rising
    values: Array = encoding.low + encoding.step * count
    return values


def _affine(op: Affine, x: Array) -> Array:
    product = x.astype(np.float32) * op.scale  # rounded here,
    return product + op.offset  # and once more here


def _max_pool2d(op: MaxPool2d, x: Array) -> Array:
    worst = -np.inf if x.dtype == np.float32 else np.iinfo(np.int32).min + 1
    signed = np.where(op.minimum, -x, x)  # the smallest of x is the largest of −x
    padded = _pad(signed, op.padding, worst)
    best: Array | None = None
    for _, under in _windows(padded, op.kernel, op.stride, (1, 1)):
        best = under if best is None else np.maximum(best, under)
    assert best is not None
    found: Array = np.where(op.minimum, -best, best).astype(x.dtype)
    return found


def _sum_pool2d(op: SumPool2d, x: Array) -> Array:
    total: Array | None = None
    for _, under in _windows(_pad(x, op.padding, 0), op.kernel, op.stride, (1, 1)):
        total = under if total is None else total + under
    assert total is not None
    return total


def _add(op: Add, left: Array, right: Array) -> Array:
    return left + right


def _mul(op: Mul, x: Array, factor: Array) -> Array:
    return x * beside(factor, x)


def beside(factor: Array, x: Array) -> Array:
    """A vector beside an image, or an image of one pixel beside a vector, in as many dimensions as the other has."""
    if factor.ndim < x.ndim:
        return factor[:, None, None]
    return factor[:, 0, 0] if factor.ndim > x.ndim else factor


def _relu(op: Relu, x: Array) -> Array:
    return np.maximum(x, 0)


def _prelu(op: PRelu, x: Array) -> Array:
    return np.where(x >= 0, x, x * op.slope)


def _apply(op: Apply, x: Array) -> Array:
    return apply(op.function, x)


def _take(op: Take, x: Array) -> Array:
    if x.ndim == 2 and (len(op.rows), len(op.columns)) != (1, 1):
        x = x[:, None, None]
    places = (op.rows, op.columns, op.channels) if x.ndim == 4 else (op.channels,)
    for axis, chosen in enumerate(places, 1):
        there = np.expand_dims(chosen >= 0, tuple(k for k in range(x.ndim) if k != axis))
        x = np.where(there, np.take(x, np.maximum(chosen, 0), axis), x.dtype.type(0))
    return x


def _concat(op: Concat, *parts: Array) -> Array:
    return np.concatenate(parts, axis=-1)


def _flatten(op: Flatten, x: Array) -> Array:
    return x.reshape(len(x), prod(x.shape[1:]))


_RULES: dict[type[Op], Callable[..., Array]] = {
    Input: _input,
    Linear: _linear,
    Conv2d: _conv2d,
    Threshold: _threshold,
    Affine: _affine,
    MaxPool2d: _max_pool2d,
    SumPool2d: _sum_pool2d,
    Add: _add,
    Mul: _mul,
    Relu: _relu,
    PRelu: _prelu,
    Apply: _apply,
    Take: _take,
    Concat: _concat,
    Flatten: _flatten,
    Unflatten: lambda op, x: x.reshape(len(x), *op.shape),
}
RULES = Rules("graph/interpret", _RULES)
