"""`Sequential`: torch's, which takes layers that are bound by memory together where the CPU's native steps can.

A binary layer's product is so quick that a training step spends much of its time in what stands around it: pooling,
BatchNorm and the sign are a few operations a number, on tensors of hundreds of megabytes. In training, on a CPU,

    BatchNorm                  one pass for the statistics, one for the answer; two backwards
    BatchNorm - SteSign        the same: what is between the two is never stored, and computed again backwards
    .. - a binary layer         and what the sign says goes from one to the other as bits (`packed_input`)
    MaxPool2d(2)               one pass each way; of an answer one byte is kept, which of the four it was
    a convolution - MaxPool2d  on the matrix unit the gradient of the pool is spread where it is multiplied
    Dropout                    one pass each way; no mask is kept, it is drawn again from its seed

Everywhere else, and in evaluation, the layers run one after the other as they are, and they always can: parameters,
buffers, names and results are theirs. Sums over a batch are added up in another order than torch's, and a dropout's
seed is all that is drawn from torch's generator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.nn import native
from binarynet.nn.conv import BinaryConv2d
from binarynet.nn.fused import norm, pool, record
from binarynet.nn.fused.packed_input import Input
from binarynet.nn.layer import BinaryLayer
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.quantizers import SteSign


class Sequential(nn.Sequential):
    """`torch.nn.Sequential` with fused training steps; same arguments, same state dict."""

    def forward(self, x: Tensor) -> Tensor:
        return fused(x, *self)


def fused(x: Tensor, *layers: nn.Module) -> Tensor:
    """x through `layers`, one after the other, taken together as in `Sequential`: for the forward pass of a block.

    Layers keep their names in the block: `fused(x, self.sign, self.conv, self.norm) + shortcut`.
    """
    if torch.compiler.is_compiling():  # it cannot follow the questions below, and takes layers together itself
        for layer in layers:
            x = layer(x)
        return x
    at = 0
    while at < len(layers):
        layer, after = layers[at], layers[at + 1] if at + 1 < len(layers) else None
        if norm.takes(layer, x):
            sign = after if isinstance(after, SteSign) and record.is_plain(after, SteSign) else None
            reader = layers[at + 2] if sign is not None and at + 2 < len(layers) else None
            signs = _room(reader, x)
            x, written = norm.batch_norm(layer, sign, x, signs)
            if written and isinstance(reader, BinaryLayer) and signs is not None:
                record.enter(reader)
                last = layers[at + 3] if at + 3 < len(layers) else None
                pooled = pool.is_plain(last) and reader.pools_too(x.shape)
                x = reader.of_signs(x, signs, pooled)
                at += 4 if pooled else 3
                continue
            at += 1 if sign is None else 2
            continue
        if pool.takes(layer, x):
            x = pool.max_pool(x)
        elif _takes_dropout(layer, x):
            x = _dropout(layer, x)
        else:
            if type(layer) is nn.Conv2d and layer.training and x.ndim == 4 and native.takes(x, layer.weight):
                x = x.contiguous(
                    memory_format=torch.channels_last
                )  # and so is what comes out, for the layers behind it
            x = layer(x)
        at += 1
    return x


def _room(reader: nn.Module | None, x: Tensor) -> Input | None:
    """Where the sign of a tensor like x goes as bits, if `reader` reads nothing else of it."""
    if reader is None or not record.is_plain(reader, BinaryLinear, BinaryConv2d):
        return None
    return reader.room_before(x.shape) if isinstance(reader, BinaryLayer) else None


def _takes_dropout(layer: nn.Module, x: Tensor) -> bool:
    return (
        record.is_plain(layer, nn.Dropout)
        and isinstance(layer, nn.Dropout)
        and 0 < layer.p < 1
        and not layer.inplace
        and native.takes(x)
        and x.numel() >= native.ELEMENTS
    )


def _dropout(layer: Any, x: Tensor) -> Tensor:
    seed = int(torch.randint(2**63 - 1, ()))
    y: Tensor = _Dropout.apply(x, layer.p, seed)  # type: ignore[no-untyped-call]
    return y


class _Dropout(torch.autograd.Function):
    """native/training/steps.h. x of any shape, without gaps in memory → the same."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int) -> Tensor:
        ctx.p, ctx.seed, ctx.stride = p, seed, x.stride()
        y = torch.empty_like(x)
        native.engine.dropout(x.data_ptr(), seed, p, y.data_ptr(), x.numel(), torch.get_num_threads())
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        # The same call on the gradient, in the memory order of x. Through `apply`, so that it can be derived again.
        g = grads[0]
        if g.stride() != ctx.stride:
            g = torch.empty_strided(g.shape, ctx.stride, dtype=g.dtype).copy_(g)
        return _Dropout.apply(g, ctx.p, ctx.seed), None, None  # type: ignore[no-untyped-call]
