"""The float32 twin of a graph: the torch module a user would have without this package. Only timing needs it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from binarynet.graph import Graph, Op, Value, verify
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
    Padding,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from binarynet.graph.rules import Rules


class Twin(nn.Module):
    """See `float_twin`."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        values = verify(graph)
        self.steps = [(op.name, op.sources) for op in graph.ops[1:]]
        self.entry = graph.input.name
        self.layers = nn.ModuleList(RULES.of(op)(op, values[op.source]) for op in graph.ops[1:])

    def forward(self, x: Tensor) -> Tensor:
        made = {self.entry: x}
        for (name, sources), layer in zip(self.steps, self.layers, strict=True):
            made[name] = layer(*(made[source] for source in sources))
        return made[name]


def float_twin(graph: Graph) -> Twin:
    """Linear and Conv2d in float32, BatchNorm + Hardtanh for each threshold, BatchNorm for the last scale.

    It takes float32 (n, channels, height, width) or (n, features). Its numbers are not the graph's: it is what is
    *timed* against.

    Raises:
        GraphError: an op has no counterpart; the text names it.
    """
    return Twin(graph).eval()


class _Sum(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class _Product(nn.Module):
    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        if factor.ndim > x.ndim:
            return x * factor.flatten(1)
        return x * (factor[..., None, None] if factor.ndim < x.ndim else factor)


class _Take(nn.Module):
    def __init__(self, op: Take, x: Value) -> None:
        super().__init__()
        self.pixel = len(x.shape) == 1 and (len(op.rows), len(op.columns)) != (1, 1)
        image = len(x.shape) == 3 or self.pixel
        places = (op.channels, op.rows, op.columns) if image else (op.channels,)
        self.padded = any(bool((one < 0).any()) for one in places)
        sizes = (x.channels, *((1, 1) if self.pixel else x.shape[:-1]))
        self.places = [torch.from_numpy(np.where(one < 0, size, one)) for one, size in zip(places, sizes, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., None, None] if self.pixel else x
        if self.padded:
            x = nn.functional.pad(x, (0, 1) * len(self.places))
        for axis, places in enumerate(self.places, 1):
            if not torch.equal(places, torch.arange(x.shape[axis])):
                x = x.index_select(axis, places)
        return x


class _Concat(nn.Module):
    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)


_FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sqrt": torch.sqrt,
    "reciprocal": torch.reciprocal,
}


class _Apply(nn.Module):
    def __init__(self, op: Apply, x: Value) -> None:
        super().__init__()
        self.function = _FUNCTIONS[op.function]

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.function(x)
        return made


def _linear(op: Linear, x: Value) -> nn.Module:
    out, depth = op.weight_shape
    return nn.Linear(depth, out, bias=False)


def _conv(op: Conv2d, x: Value) -> nn.Module:
    out, height, width, inside = op.weight_shape

    def conv(padding: tuple[int, int]) -> nn.Module:
        shape = (inside * op.groups, out, (height, width), op.stride, padding, op.dilation, op.groups)
        return nn.Conv2d(*shape, bias=False)

    return _padded(conv, op.padding, 0.0)


def _pool(op: MaxPool2d | SumPool2d, x: Value) -> nn.Module:
    outside, kind = (-torch.inf, nn.MaxPool2d) if isinstance(op, MaxPool2d) else (0.0, nn.AvgPool2d)
    halves = tuple(size // 2 for size in op.kernel)
    return _padded(lambda padding: kind(op.kernel, op.stride, padding), op.padding, outside, halves)


def _padded(
    layer: Callable[[tuple[int, int]], nn.Module],
    padding: Padding,
    outside: float,
    most: tuple[int, ...] = (1 << 31, 1 << 31),
) -> nn.Module:
    """A layer that pads by itself where torch's can: alike on both sides, and a pool by half of its window."""
    (top, bottom), (left, right) = padding
    if (top, left) == (bottom, right) and top <= most[0] and left <= most[1]:
        return layer((top, left))
    return nn.Sequential(nn.ConstantPad2d((left, right, top, bottom), outside), layer((0, 0)))


def _norm(op: Op, x: Value) -> nn.Module:
    return nn.BatchNorm1d(x.channels) if len(x.shape) == 1 else nn.BatchNorm2d(x.channels)


_LAYERS: dict[type[Op], Callable[..., nn.Module]] = {
    Input: nn.Identity,
    Linear: _linear,
    Conv2d: _conv,
    Threshold: lambda op, x: nn.Sequential(_norm(op, x), nn.Hardtanh()),
    Affine: _norm,
    MaxPool2d: _pool,
    SumPool2d: _pool,
    Add: lambda op, x: _Sum(),
    Mul: lambda op, x: _Product(),
    Relu: lambda op, x: nn.ReLU(),
    PRelu: lambda op, x: nn.PReLU(x.channels),
    Apply: _Apply,
    Take: _Take,
    Concat: lambda op, x: _Concat(),
    Flatten: lambda op, x: nn.Flatten(),
    Unflatten: lambda op, x: nn.Unflatten(1, (op.shape[2], *op.shape[:2])),
}
RULES = Rules("bench/twin", _LAYERS)
