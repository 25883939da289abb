"""`Sequential`: torch's, which takes layers that are bound by memory together where the CPU's native steps can.

A binary layer's product is so quick that a training step spends much of its time in what stands around it: pooling,
BatchNorm and the sign are a few operations a number, on tensors of hundreds of megabytes. In training, on a CPU,

    BatchNorm                  one pass for the statistics, one for the answer; two backwards
    BatchNorm - SteSign        the same: what is between the two is never stored, and computed again backwards
    .. - a binary layer         and what the sign says goes from one to the other as bits (`packed_input`)
    MaxPool2d(2)               one pass each way; of an answer one byte is kept, which of the four it was
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
from binarynet.nn.fused import record
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
        if _takes_norm(layer, x):
            sign = after if isinstance(after, SteSign) and _is_plain(after, SteSign) else None
            reader = layers[at + 2] if sign is not None and at + 2 < len(layers) else None
            signs = _room(reader, x)
            x, written = _batch_norm(layer, sign, x, signs)
            if written and isinstance(reader, BinaryLayer) and signs is not None:
                record.enter(reader)
                x = reader.of_signs(x, signs)
                at += 3
                continue
            at += 1 if sign is None else 2
            continue
        if _takes_pool(layer, x):
            x = _max_pool(x)
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


def _is_plain(layer: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it is in training, of exactly such a type, and a call of it does what that type says."""
    return type(layer) in kinds and layer.training and record.as_typed(layer)


def _channels_last(x: Tensor) -> bool:
    """Whether the channels, its second dimension, lie next to each other."""
    return (x.ndim == 2 and x.is_contiguous()) or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))


def _takes_norm(layer: nn.Module, x: Tensor) -> bool:
    return (
        _is_plain(layer, nn.BatchNorm1d, nn.BatchNorm2d)
        and isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        and x.ndim == (2 if isinstance(layer, nn.BatchNorm1d) else 4)
        and layer.affine
        and (layer.momentum is not None or not layer.track_running_stats)
        and x.shape[1] == layer.num_features
        and native.takes(x, layer.weight, layer.bias)
        and x.numel() >= max(native.ELEMENTS, 2 * x.shape[1])  # of one value a channel there is no variance
        and _channels_last(x)
    )


def _room(reader: nn.Module | None, x: Tensor) -> Input | None:
    """Where the sign of a tensor like x goes as bits, if `reader` reads nothing else of it."""
    if reader is None or not _is_plain(reader, BinaryLinear, BinaryConv2d):
        return None
    return reader.room_before(x.shape) if isinstance(reader, BinaryLayer) else None


def _batch_norm(norm: Any, sign: SteSign | None, x: Tensor, signs: Input | None) -> tuple[Tensor, bool]:
    """One training call of `norm`, and of `sign` on its answer.

    Also whether `signs` holds the answer now, which the tensor then only stands in for. (NaN has no sign.)
    """
    y: Tensor
    y, mean, variance, written = _BatchNorm.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, norm.eps, sign, signs
    )
    if norm.track_running_stats:
        rows = x.numel() // x.shape[1]
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (rows / (rows - 1)), norm.momentum)
    return y, written


class _BatchNorm(torch.autograd.Function):
    """native/training/norm.h. x (n, c) or (n, c, h, w) with the channels last; also returns (c,) mean and variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, sign: SteSign | None, signs: Input | None
    ) -> tuple[Tensor, Tensor, Tensor, bool]:
        shape = native.engine.NormShape(x.numel() // x.shape[1], x.shape[1])
        threads = torch.get_num_threads()
        mean, variance = torch.empty_like(weight), torch.empty_like(weight)
        native.engine.norm_statistics(shape, x.data_ptr(), mean.data_ptr(), variance.data_ptr(), threads)
        root = (variance + eps).rsqrt()
        scale = weight * root
        shift = bias - mean * scale
        addresses = x.data_ptr(), scale.data_ptr(), shift.data_ptr()
        written = signs is not None and native.engine.norm_signs(
            native.kernel(), shape, *addresses, signs.numbers.data_ptr(), threads
        )
        if written:
            y = torch.full((), torch.nan).expand(x.shape)
        else:
            y = torch.empty_like(x)
            native.engine.norm_forward(shape, *addresses, sign is not None, y.data_ptr(), threads)
        ctx.shape, ctx.sign = shape, sign
        ctx.save_for_backward(x, weight, bias, mean, root, scale, shift)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance, written

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, root, scale, shift = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for: torch's own rules
            return *_again(ctx, grads[0], x, weight, bias), None, None, None
        g = grads[0] if grads[0].stride() == x.stride() else torch.empty_like(x).copy_(grads[0])
        threads, rows = torch.get_num_threads(), x.numel() // x.shape[1]
        window = ctx.sign is not None, 0.0 if ctx.sign is None else ctx.sign.clip, scale.data_ptr(), shift.data_ptr()
        operands = ctx.shape, g.data_ptr(), x.data_ptr(), mean.data_ptr(), *window
        total, product = torch.empty_like(mean), torch.empty_like(mean)
        native.engine.norm_sums(*operands, total.data_ptr(), product.data_ptr(), threads)
        dx = None
        if ctx.needs_input_grad[0]:
            slope, level = scale * root * root * product / -rows, scale * total / -rows
            dx = torch.empty_like(x)
            native.engine.norm_gradient(*operands, slope.data_ptr(), level.data_ptr(), dx.data_ptr(), threads)
        return dx, product * root, total, None, None, None


def _again(ctx: Any, g: Tensor, *inputs: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight and bias by rules that can be derived again."""
    x, weight, bias = inputs
    y = nn.functional.batch_norm(x, None, None, weight, bias, training=True, eps=ctx.eps)
    if ctx.sign is not None:
        y = ctx.sign(y)
    needed = [value for value, needs in zip(inputs, ctx.needs_input_grad, strict=False) if needs]
    found = iter(torch.autograd.grad(y, needed, g, create_graph=True))
    return tuple(next(found) if needs else None for needs in ctx.needs_input_grad[:3])


def _takes_pool(layer: nn.Module, x: Tensor) -> bool:
    return (
        _is_plain(layer, nn.MaxPool2d)
        and all(getattr(layer, name) in (2, (2, 2)) for name in ("kernel_size", "stride"))
        and all(getattr(layer, name) in (n, (n, n)) for name, n in (("padding", 0), ("dilation", 1)))
        and not (layer.return_indices or layer.ceil_mode)
        and x.ndim == 4
        and x.shape[2] % 2 == x.shape[3] % 2 == 0
        and native.takes(x)
        and x.numel() >= native.ELEMENTS
        and _channels_last(x)
    )


def _max_pool(x: Tensor) -> Tensor:
    y: Tensor = _MaxPool.apply(x)  # type: ignore[no-untyped-call]
    return y


class _MaxPool(torch.autograd.Function):
    """native/training/pool.h. x (n, c, 2h, 2w) with the channels last → (n, c, h, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        ctx.shape = native.engine.PoolShape(images, height // 2, width // 2, channels)
        y = torch.empty((images, channels, height // 2, width // 2), memory_format=torch.channels_last)
        origin = torch.empty_like(y, dtype=torch.uint8)
        threads = torch.get_num_threads()
        native.engine.max_pool(ctx.shape, x.data_ptr(), y.data_ptr(), origin.data_ptr(), threads)
        ctx.save_for_backward(origin)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (origin,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be derived again: 0 … 3 in the order of the four, where it came from
            four = torch.arange(4).view(2, 2).repeat(origin.shape[2:])
            return _doubled(grads[0]) * (_doubled(origin) == four)
        g = grads[0].contiguous(memory_format=torch.channels_last)
        images, channels, height, width = g.shape
        dx = torch.empty((images, channels, 2 * height, 2 * width), memory_format=torch.channels_last)
        native.engine.max_pool_gradient(
            ctx.shape, g.data_ptr(), origin.data_ptr(), dx.data_ptr(), torch.get_num_threads()
        )
        return dx


def _doubled(x: Tensor) -> Tensor:
    """Each pixel four times: (n, c, h, w) → (n, c, 2h, 2w)."""
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def _takes_dropout(layer: nn.Module, x: Tensor) -> bool:
    return (
        _is_plain(layer, nn.Dropout)
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
