"""The largest of 2 × 2 pixels in training: one pass each way, and of an answer one byte is kept, which of the four."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.nn import native
from binarynet.nn.fused import arena, record


def is_plain(layer: nn.Module | None) -> bool:
    """Whether it is a plain pool of 2 × 2 in training."""
    return (
        layer is not None
        and record.is_plain(layer, nn.MaxPool2d)
        and all(getattr(layer, name) in (2, (2, 2)) for name in ("kernel_size", "stride"))
        and all(getattr(layer, name) in (n, (n, n)) for name, n in (("padding", 0), ("dilation", 1)))
        and not (layer.return_indices or layer.ceil_mode)
    )


def takes(layer: nn.Module, x: Tensor) -> bool:
    """Whether `max_pool` of x is a call of `layer`, and worth it."""
    return (
        is_plain(layer)
        and x.ndim == 4
        and x.shape[2] % 2 == x.shape[3] % 2 == 0
        and native.takes(x)
        and x.numel() >= native.ELEMENTS
        and native.channels_last(x)
    )


def max_pool(x: Tensor) -> Tensor:
    """x (n, c, 2h, 2w) with the channels last → (n, c, h, w)."""
    y: Tensor = _MaxPool.apply(x)  # type: ignore[no-untyped-call]
    return y


def largest(x: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each four (native/training/pool.h), and a byte: which of them it is. Shapes as above."""
    images, channels, height, width = x.shape
    y = arena.images(images, channels, height // 2, width // 2)
    origin = arena.like(y, torch.uint8)
    shape = native.engine.PoolShape(images, height // 2, width // 2, channels)
    native.engine.max_pool(shape, x.data_ptr(), y.data_ptr(), origin.data_ptr(), torch.get_num_threads())
    return y, origin


def spread(gradient: Tensor, origin: Tensor) -> Tensor:
    """`gradient` where it came from, zeros elsewhere, by a rule that can be derived again."""
    four = torch.arange(4).view(2, 2).repeat(origin.shape[2:])  # 0 … 3 in the order of the four
    return _doubled(gradient) * (_doubled(origin) == four)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, origin = largest(x)
        ctx.save_for_backward(origin)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (origin,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return spread(grads[0], origin)
        g = grads[0].contiguous(memory_format=torch.channels_last)
        images, channels, height, width = g.shape
        dx = arena.images(images, channels, 2 * height, 2 * width)
        shape = native.engine.PoolShape(images, height, width, channels)
        native.engine.max_pool_gradient(shape, g.data_ptr(), origin.data_ptr(), dx.data_ptr(), torch.get_num_threads())
        return dx


def _doubled(x: Tensor) -> Tensor:
    """Each pixel four times: (n, c, h, w) → (n, c, 2h, 2w)."""
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
