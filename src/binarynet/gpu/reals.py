"""The ops that are no products, on NHWC tensors: plain PyTorch, in the order of operations that the oracle has.

None of them multiplies and adds in one expression, so that no compiler may round once where the oracle rounds twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from binarynet.graph.ir import Conv2d, MaxPool2d, Padding, SumPool2d, window_output


def affine(x: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """x · scale + offset per channel in float32: one kernel multiplies, the next adds."""
    product = x.to(torch.float32) * scale
    return product + offset


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * slope)


def take(x: Tensor, places: list[Tensor], zero: int) -> Tensor:
    """(n, height, width, channels) at the places of each axis; ``zero`` where a place is −1."""
    for axis, chosen in enumerate(places, 1):
        there = (chosen >= 0).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
        x = torch.where(there, x.index_select(axis, chosen.clamp(min=0)), zero)
    return x


class OnTensors:
    """float32 tensors for `binarynet.graph.functions`, each operation a kernel of its own."""

    def __init__(self, like: Tensor) -> None:
        self.like = like

    def number(self, value: float) -> Tensor:
        return torch.full((), value, dtype=torch.float32, device=self.like.device)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def divide(self, a: Tensor, b: Tensor) -> Tensor:
        return a / b

    def floor(self, a: Tensor) -> Tensor:
        return torch.floor(a)

    def power(self, n: Tensor) -> Tensor:
        return ((n.to(torch.int32) + 127) << 23).view(torch.float32)

    def choose(self, a: Tensor, least: float, yes: Tensor, no: Tensor) -> Tensor:
        return torch.where(a >= least, yes, no)


def max_pool(x: Tensor, op: MaxPool2d, minimum: Tensor) -> Tensor:
    """(n, height, width, channels) of any type. What lies outside the image never wins."""
    if x.dtype.is_floating_point:
        low, high = -torch.inf, torch.inf
    else:
        low, high = torch.iinfo(x.dtype).min, torch.iinfo(x.dtype).max
    largest = _reduce(torch.maximum, x, op, low)
    return torch.where(minimum, _reduce(torch.minimum, x, op, high), largest)


def sum_pool(x: Tensor, op: SumPool2d) -> Tensor:
    """The sums in int32, or in float32 tap by tap, row by row."""
    return _reduce(torch.add, x, op, 0)


def _reduce(join: object, x: Tensor, op: MaxPool2d | SumPool2d, outside: float) -> Tensor:
    total: Tensor | None = None
    for under in _windows(_padded(x, op.padding, outside), op.kernel, op.stride):
        total = under if total is None else join(total, under)  # type: ignore[operator]
    assert total is not None
    return total


def _padded(x: Tensor, padding: Padding, value: float) -> Tensor:
    (top, bottom), (left, right) = padding
    return pad(x, (0, 0, left, right, top, bottom), value=value) if any((top, bottom, left, right)) else x


def taps(x: Tensor, op: Conv2d) -> Iterator[Tensor]:
    """For each tap of a convolution: the part of x (n, h, w, c), 0 outside, that lies under it, (n, oh, ow, c)."""
    return _windows(_padded(x, op.padding, 0), op.weight.shape[1:3], op.stride, op.dilation)


def _windows(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Iterator[Tensor]:
    """For each place of the kernel: the part of x (n, h, w, c) that lies under it, (n, oh, ow, c)."""
    rows, columns = (
        window_output(x.shape[1 + side], kernel[side], stride[side], dilation[side], (0, 0)) for side in (0, 1)
    )
    for row in range(0, kernel[0] * dilation[0], dilation[0]):
        for column in range(0, kernel[1] * dilation[1], dilation[1]):
            yield x[:, row : row + rows * stride[0] : stride[0], column : column + columns * stride[1] : stride[1]]
