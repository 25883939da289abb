"""The products of plain signs on the CPU's matrix unit (AMX): linear layers, and convolutions of stride 1 that keep
the size.

What comes out of a sign is ±1, a byte is 2x − 255, and dropout leaves 0, ±2, .. of them: such numbers are bfloat16
as they are, their products are exact, and so are sums below 2^24. So the matrix unit, which multiplies bfloat16 and
adds in float32, gives the bits of the float32 product, only sooner. Numbers with more significant bits are cut into
two or three pieces (native/training/products.h). Gradients are not exact to begin with: they are rounded to one piece,
or, where they are to stay float32, to three.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from binarynet.nn import native
from binarynet.nn.quantizers import Quantizer

_conv2d_input: Any = torch.nn.grad.conv2d_input  # type: ignore[attr-defined]
_conv2d_weight: Any = torch.nn.grad.conv2d_weight  # type: ignore[attr-defined]


def linear(x: Tensor, weight: Tensor, quantizer: Quantizer) -> Tensor | None:
    """x (..., in) @ sign(weight).T; None where it is left to others: a real x in evaluation, NaN in `weight`."""
    pieces = native.engine.pieces_of(x.data_ptr(), x.numel(), torch.get_num_threads())
    if pieces > _most_pieces():
        return None
    y: Tensor | None = _Linear.apply(x, weight, quantizer, pieces)  # type: ignore[no-untyped-call]
    return y


def conv2d(x: Tensor, weight: Tensor, quantizer: Quantizer) -> Tensor | None:
    """x (n, c, h, w) with the channels last, stride 1, sizes kept; None as above."""
    y: Tensor | None = _Conv2d.apply(x, weight, quantizer, _most_pieces())  # type: ignore[no-untyped-call]
    return y


def _most_pieces() -> int:
    """How many bfloat16 numbers may hold one of an input: three hold any, which in evaluation is left to torch."""
    return 3 if torch.is_grad_enabled() else 2


def _gradient_pieces() -> int:
    return 3 if native.gradients() == "float32" else 1


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, quantizer: Quantizer, pieces: int) -> Tensor | None:
        rows = x.numel() // x.shape[-1]
        ctx.shape = native.engine.LinearShape(rows, *reversed(weight.shape))
        ctx.quantizer, ctx.pieces = quantizer, pieces
        y = x.new_empty(*x.shape[:-1], weight.shape[0])
        signs = torch.empty(weight.shape[0], -(-weight.shape[1] // 64), dtype=torch.int64)
        addresses = x.data_ptr(), pieces, weight.data_ptr(), y.data_ptr(), signs.data_ptr()
        if not native.engine.linear(ctx.shape, *addresses, torch.get_num_threads()):
            return None  # NaN among the weights has no sign: torch carries it along
        ctx.save_for_backward(x, weight, signs)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, signs = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for: torch's own rules
            rows = grads[0].flatten(0, -2)
            return _again(ctx, lambda: grads[0] @ ctx.quantizer(weight), lambda: rows.T @ x.flatten(0, -2), weight)
        gradient, pieces, threads = grads[0].contiguous(), _gradient_pieces(), torch.get_num_threads()
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = torch.empty_like(x)
            native.engine.linear_input_gradient(
                ctx.shape, gradient.data_ptr(), pieces, signs.data_ptr(), dx.data_ptr(), threads
            )
        if ctx.needs_input_grad[1]:
            dw = torch.empty_like(weight)
            native.engine.linear_weight_gradient(
                ctx.shape, gradient.data_ptr(), pieces, x.data_ptr(), ctx.pieces, dw.data_ptr(), threads
            )
            dw = ctx.quantizer.propagate(dw, weight)
        return dx, dw, None, None


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, quantizer: Quantizer, most_pieces: int) -> Tensor | None:
        images, channels, height, width = x.shape
        ctx.shape = native.engine.ConvShape(images, height, width, channels, weight.shape[0], *weight.shape[2:])
        ctx.quantizer = quantizer
        y = torch.empty((images, weight.shape[0], height, width), memory_format=torch.channels_last)
        signs = torch.empty(native.engine.conv_sign_words(ctx.shape), dtype=torch.int32)
        addresses = x.data_ptr(), most_pieces, weight.data_ptr(), y.data_ptr(), signs.data_ptr()
        ctx.pieces = native.engine.conv(ctx.shape, *addresses, torch.get_num_threads())
        if not ctx.pieces:
            return None
        ctx.save_for_backward(x, weight, signs)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, signs = ctx.saved_tensors
        if torch.is_grad_enabled():
            padding = tuple(size // 2 for size in weight.shape[2:])
            return _again(
                ctx,
                lambda: _conv2d_input(x.shape, ctx.quantizer(weight), grads[0], padding=padding),
                lambda: _conv2d_weight(x, weight.shape, grads[0], padding=padding),
                weight,
            )
        gradient = grads[0].contiguous(memory_format=torch.channels_last)
        pieces, threads = _gradient_pieces(), torch.get_num_threads()
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = torch.empty_like(x)
            native.engine.conv_input_gradient(
                ctx.shape, gradient.data_ptr(), pieces, signs.data_ptr(), dx.data_ptr(), threads
            )
        if ctx.needs_input_grad[1]:
            dw = torch.empty_like(weight)
            native.engine.conv_weight_gradient(
                ctx.shape, gradient.data_ptr(), pieces, x.data_ptr(), ctx.pieces, dw.data_ptr(), threads
            )
            dw = ctx.quantizer.propagate(dw, weight)
        return dx, dw, None, None


def _again(ctx: Any, dx: Any, dw: Any, weight: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    """The two gradients by rules that can be derived again, as far as they are needed."""
    needs_x, needs_weight = ctx.needs_input_grad[:2]
    return dx() if needs_x else None, ctx.quantizer.propagate(dw(), weight) if needs_weight else None, None, None
