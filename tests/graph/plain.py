"""A second oracle, slower and plainer than the first: whole graphs in int64, one product after the other.

It shares no line with `binarynet.graph.interpret`: no float holds an integer, no bound is estimated, nothing is padded;
each place of a window is looked up in the image, or is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from binarynet.graph import Encoding, Graph
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
    Op,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)


def answer(graph: Graph, codes: np.ndarray) -> np.ndarray:
    """The answer to a batch of codes: int64 for integers, float32 for reals, whose products must be whole numbers."""
    values: dict[str, np.ndarray] = {}
    for op in graph.ops:
        values[op.name] = codes if isinstance(op, Input) else _made(op, [values[name] for name in op.sources])
        if isinstance(op, Input) and op.encoding != "f32":
            kind = Encoding.parse(op.encoding)
            values[op.name] = np.array([kind.low + kind.step * code for code in range(kind.count)], np.int64)[codes]
    return values[graph.output.name]


def _made(op: Op, sources: list[np.ndarray]) -> np.ndarray:
    x = sources[0]
    if isinstance(op, Linear):
        return _dot(x, op.weight)
    if isinstance(op, Conv2d):
        return _conv(op, x)
    if isinstance(op, Threshold):
        kind = Encoding.parse(op.encoding)
        reached = np.zeros(x.shape, np.int64)
        for channel in range(x.shape[-1]):
            for level in op.thresholds[channel]:
                reached[..., channel] += (x[..., channel] >= level) == op.rising[channel]
        return kind.low + kind.step * reached
    if isinstance(op, Affine):
        return ((x.astype(np.float32) * op.scale).astype(np.float32) + op.offset).astype(np.float32)
    if isinstance(op, MaxPool2d | SumPool2d):
        return _pool(op, x)
    if isinstance(op, Add):
        return x + sources[1]
    if isinstance(op, Mul):
        made, whole = x.copy(), (1, 1, *x.shape[1:])[-3:]
        image, factor = made.reshape(len(x), *whole), sources[1].reshape(len(x), *(1, 1, *sources[1].shape[1:])[-3:])
        for at in np.ndindex(whole):
            image[:, *at] *= factor[:, *(min(k, size - 1) for k, size in zip(at, factor.shape[1:], strict=True))]
        return made
    if isinstance(op, Relu):
        return np.where(x < 0, x.dtype.type(0), x)
    if isinstance(op, PRelu):
        return np.where(x < 0, x * op.slope, x)
    if isinstance(op, Apply):
        if op.function == "sqrt":
            return np.sqrt(x)
        if op.function == "reciprocal":
            return np.float32(1) / x
        exact = {"sigmoid": lambda v: 1 / (1 + math.exp(-v)), "tanh": math.tanh, "erf": math.erf}[op.function]
        return np.vectorize(exact, otypes=[np.float32])(np.clip(x.astype(np.float64), -80, 80))
    if isinstance(op, Take):
        whole = x.reshape(len(x), *(1, 1, *x.shape[1:])[-3:])
        made = np.zeros((len(x), len(op.rows), len(op.columns), len(op.channels)), x.dtype)
        for i, j, c in np.ndindex(made.shape[1:]):
            places = op.rows[i], op.columns[j], op.channels[c]
            if min(places) >= 0:
                made[:, i, j, c] = whole[:, *places]
        return made[:, 0, 0] if x.ndim == 2 and made.shape[1:3] == (1, 1) else made
    if isinstance(op, Concat):
        return np.concatenate(sources, axis=-1)
    if isinstance(op, Unflatten):
        return x.reshape(len(x), *op.shape)
    assert isinstance(op, Flatten), op
    return x.reshape(len(x), -1)


def _dot(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n, depth), (out, depth) → (n, out), added up in int64; in float64, to float32, where an operand is real."""
    kind: type = np.float64 if np.float32 in (x.dtype, weight.dtype) else np.int64
    made = np.zeros((len(x), len(weight)), kind)
    for place in range(x.shape[1]):
        made += np.multiply.outer(x[:, place].astype(kind), weight[:, place].astype(kind))
    return made if kind is np.int64 else made.astype(np.float32)


def _places(op: Conv2d | MaxPool2d | SumPool2d, x: np.ndarray, kernel: Any, dilation: Any) -> Iterator[Any]:
    """(row, column) of what is made; then the parts of the image under the window, None where it ends."""
    (top, bottom), (left, right) = op.padding
    _, height, width, _ = x.shape
    rows = (height + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // op.stride[0] + 1
    columns = (width + left + right - dilation[1] * (kernel[1] - 1) - 1) // op.stride[1] + 1
    for row in range(rows):
        for column in range(columns):
            under = {}
            for y in range(kernel[0]):
                for z in range(kernel[1]):
                    at = (row * op.stride[0] + y * dilation[0] - top, column * op.stride[1] + z * dilation[1] - left)
                    inside = 0 <= at[0] < height and 0 <= at[1] < width
                    under[y, z] = x[:, at[0], at[1]] if inside else None
            yield rows, columns, row, column, under


def _conv(op: Conv2d, x: np.ndarray) -> np.ndarray:
    made = None
    out, in_group = op.weight.shape[0], op.weight.shape[3]
    each = out // op.groups
    for rows, columns, row, column, under in _places(op, x, op.weight.shape[1:3], op.dilation):
        kind: type = np.float32 if np.float32 in (x.dtype, op.weight.dtype) else np.int64
        made = np.zeros((len(x), rows, columns, out), kind) if made is None else made
        for (y, z), pixel in under.items():
            numbers = np.full((len(x), x.shape[3]), op.pad_value, x.dtype) if pixel is None else pixel
            for group in range(op.groups):
                filters = slice(group * each, (group + 1) * each)
                part = numbers[:, group * in_group : (group + 1) * in_group]
                made[:, row, column, filters] += _dot(part, op.weight[filters, y, z])
    assert made is not None
    return made


def _pool(op: MaxPool2d | SumPool2d, x: np.ndarray) -> np.ndarray:
    made = None
    for rows, columns, row, column, under in _places(op, x, op.kernel, (1, 1)):
        made = np.zeros((len(x), rows, columns, x.shape[3]), x.dtype) if made is None else made
        inside = [pixel for pixel in under.values() if pixel is not None]
        if isinstance(op, MaxPool2d):
            made[:, row, column] = np.where(op.minimum, np.min(inside, axis=0), np.max(inside, axis=0))
        else:
            for pixel in inside:
                made[:, row, column] += pixel
    assert made is not None
    return made
