"""The products of plain signs on the CPU's matrix unit (AMX): linear layers, and convolutions of stride 1 that keep
the size.

What comes out of a sign is ±1, a byte is 2x − 255, and dropout leaves 0, ±2, .. of them: such numbers are bfloat16
as they are, their products are exact, and so are sums below 2^24. So the matrix unit, which multiplies bfloat16 and
adds in float32, gives the bits of the float32 product, only sooner. Numbers with more significant bits are cut into
two or three pieces (native/training/products.h); ±1 comes as bits. Gradients are not exact to begin with: they are
rounded to one piece, or, where they are to stay float32, to three.
"""

from __future__ import annotations

from contextlib import nullcontext
from math import prod
from typing import Any

import torch
from torch import Tensor

from binarynet.nn import native
from binarynet.nn.fused import arena, pool, record
from binarynet.nn.fused.packed_input import Input, check_unchanged, geometry_of, keeping, pack_signs, version
from binarynet.nn.quantizers import Quantizer

_conv2d_input: Any = torch.nn.grad.conv2d_input  # type: ignore[attr-defined]
_conv2d_weight: Any = torch.nn.grad.conv2d_weight  # type: ignore[attr-defined]


def linear(x: Tensor, weight: Tensor, quantizer: Quantizer, operand: Input | None = None) -> Tensor | None:
    """x (..., in) @ sign(weight).T; None where it is left to others: a real x in evaluation, NaN in `weight`.

    `operand`: x as bits, if that is known; x itself is not read then.
    """
    start = record.clock()
    if operand is None:
        pixels = x.detach().view(-1, x.shape[-1], 1, 1)
        window = (1, 1), (0, 0), (1, 1)
        operand = pack_signs(geometry_of(pixels.shape, (*weight.shape, 1, 1), window, 1), pixels)
    pieces = 0
    if operand is None:
        pieces = native.engine.pieces_of(x.data_ptr(), x.numel(), torch.get_num_threads())
        if pieces > _most_pieces():
            return None
    with keeping(x, operand) if operand is not None else nullcontext():
        y: Tensor | None = _Linear.apply(x, weight, quantizer, operand, pieces)  # type: ignore[no-untyped-call]
    if y is not None:
        record.note(record.layer(), "forward", _in_pieces(pieces), x.numel() * weight.shape[0], start)
    return y


def takes_signs(images: Any, weight: Any) -> bool:
    """Whether a convolution that suits takes images (n, c, h, w) as bits: few channels are gathered as numbers."""
    taken: bool = native.engine.conv_takes_signs(_conv_shape(images, weight))
    return taken


def conv2d(
    x: Tensor, weight: Tensor, quantizer: Quantizer, operand: Input | None = None, pooled: bool = False
) -> Tensor | None:
    """x (n, c, h, w) with the channels last, stride 1, sizes kept; `operand` and None as above.

    `pooled`: the answer is the largest of each 2 × 2. Its gradient is spread only where it is multiplied then.
    """
    start = record.clock()
    if operand is None and takes_signs(x.shape, weight.shape):
        window = (1, 1), (weight.shape[2] // 2, weight.shape[3] // 2), (1, 1)
        operand = pack_signs(geometry_of(x.shape, weight.shape, window, 1), x.detach())
    pieces = _most_pieces() if operand is None else 0
    with keeping(x, operand) if operand is not None else nullcontext():
        y: Tensor | None = _Conv2d.apply(  # type: ignore[no-untyped-call]
            x, weight, quantizer, operand, pieces, start, pooled
        )
    return y


def _conv_shape(images: Any, weight: Any) -> Any:
    count, channels, height, width = images
    return native.engine.ConvShape(count, height, width, channels, weight[0], weight[2], weight[3])


def _most_pieces() -> int:
    """How many bfloat16 numbers may hold one of an input: three hold any, which in evaluation is left to torch."""
    return 3 if torch.is_grad_enabled() else 2


def _in_pieces(pieces: int) -> str:
    return "amx bfloat16" if pieces <= 1 else f"amx bfloat16, {pieces} pieces"


class _Saved:
    """What a backward pass needs. Only where it is differentiated again are x and weight asked of autograd."""

    def __init__(self, x: Tensor, weight: Tensor, quantizer: Quantizer, operand: Input | None) -> None:
        self.shape, self.weight, self.version = x.shape, weight.detach(), version(weight)
        self.operand, self.quantizer, self.layer = operand, quantizer, record.layer()
        self.multiplications = prod(x.shape[:1] + x.shape[2:]) * weight.numel()
        if weight.ndim == 2:
            self.multiplications = x.numel() * weight.shape[0]

    def timed(self, what: str) -> Any:
        return record.timed(
            self.layer, f"gradient of the {what}", _in_pieces(self.gradient_pieces()), self.multiplications
        )

    @staticmethod
    def gradient_pieces() -> int:
        return 3 if native.gradients() == "float32" else 1


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, quantizer: Quantizer, operand: Input | None, pieces: int
    ) -> Tensor | None:
        rows = x.numel() // x.shape[-1]
        ctx.shape = native.engine.LinearShape(rows, *reversed(weight.shape))
        ctx.saved, ctx.pieces = _Saved(x, weight, quantizer, operand), pieces
        y = x.new_empty(*x.shape[:-1], weight.shape[0])
        ctx.signs = torch.empty(native.engine.linear_sign_words(ctx.shape), dtype=torch.int32)
        addresses = (
            (x if operand is None else operand.numbers).data_ptr(),
            pieces,
            weight.data_ptr(),
            y.data_ptr(),
            ctx.signs.data_ptr(),
        )
        if not native.engine.linear(ctx.shape, *addresses, torch.get_num_threads()):
            return None  # NaN among the weights has no sign: torch carries it along
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        saved: _Saved = ctx.saved
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for: torch's own rules
            x, weight = ctx.saved_tensors
            rows = grads[0].flatten(0, -2)
            return _again(ctx, lambda: grads[0] @ saved.quantizer(weight), lambda: rows.T @ x.flatten(0, -2), weight)
        x = _numbers(ctx)
        gradient, pieces, threads = grads[0].contiguous(), saved.gradient_pieces(), torch.get_num_threads()
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = gradient.new_empty(saved.shape)
            with saved.timed("input"):
                native.engine.linear_input_gradient(
                    ctx.shape, gradient.data_ptr(), pieces, ctx.signs.data_ptr(), dx.data_ptr(), threads
                )
        if ctx.needs_input_grad[1]:
            dw = torch.empty_like(saved.weight)
            with saved.timed("weights"):
                native.engine.linear_weight_gradient(
                    ctx.shape, gradient.data_ptr(), pieces, x.data_ptr(), ctx.pieces, dw.data_ptr(), threads
                )
            dw = saved.quantizer.propagate(dw, saved.weight)
        return dx, dw, None, None, None


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        quantizer: Quantizer,
        operand: Input | None,
        most_pieces: int,
        start: float,
        pooled: bool,
    ) -> Tensor | None:
        images, _, height, width = x.shape
        ctx.shape, ctx.saved = _conv_shape(x.shape, weight.shape), _Saved(x, weight, quantizer, operand)
        y = arena.images(images, weight.shape[0], height, width)
        ctx.signs = torch.empty(native.engine.conv_sign_words(ctx.shape), dtype=torch.int32)
        numbers = x if operand is None else operand.numbers
        addresses = weight.data_ptr(), y.data_ptr(), ctx.signs.data_ptr()
        pieces = native.engine.conv(ctx.shape, numbers.data_ptr(), most_pieces, *addresses, torch.get_num_threads())
        if not pieces:
            return None
        ctx.pieces = pieces if operand is None else 0
        by = "amx bytes" if operand is not None else _in_pieces(pieces)
        record.note(ctx.saved.layer, "forward", by, ctx.saved.multiplications, start)
        ctx.save_for_backward(x, weight)
        ctx.origin = None
        if pooled:
            y, ctx.origin = pool.largest(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        saved: _Saved = ctx.saved
        if torch.is_grad_enabled():
            x, weight = ctx.saved_tensors
            padding = tuple(size // 2 for size in weight.shape[2:])
            whole = grads[0] if ctx.origin is None else pool.spread(grads[0], ctx.origin)
            found = _again(
                ctx,
                lambda: _conv2d_input(x.shape, saved.quantizer(weight), whole, padding=padding),
                lambda: _conv2d_weight(x, weight.shape, whole, padding=padding),
                weight,
            )
            return *found, None, None
        x = _numbers(ctx)
        gradient = grads[0].contiguous(memory_format=torch.channels_last)
        origin = 0 if ctx.origin is None else ctx.origin.data_ptr()
        pieces, threads = saved.gradient_pieces(), torch.get_num_threads()
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = arena.images(*saved.shape)
            with saved.timed("input"):
                native.engine.conv_input_gradient(
                    ctx.shape, gradient.data_ptr(), origin, pieces, ctx.signs.data_ptr(), dx.data_ptr(), threads
                )
        if ctx.needs_input_grad[1]:
            dw = torch.empty_like(saved.weight)
            with saved.timed("weights"):
                native.engine.conv_weight_gradient(
                    ctx.shape, gradient.data_ptr(), origin, pieces, x.data_ptr(), ctx.pieces, dw.data_ptr(), threads
                )
            dw = saved.quantizer.propagate(dw, saved.weight)
        return dx, dw, None, None, None, None, None


def _numbers(ctx: Any) -> Tensor:
    """The input as the forward pass had it."""
    saved: _Saved = ctx.saved
    check_unchanged(saved.weight, saved.version)
    x: Tensor = ctx.saved_tensors[0] if saved.operand is None else saved.operand.numbers
    return x


def _again(ctx: Any, dx: Any, dw: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
    """The two gradients by rules that can be derived again, as far as they are needed."""
    needs_x, needs_weight = ctx.needs_input_grad[:2]
    dw = ctx.saved.quantizer.propagate(dw(), weight) if needs_weight else None
    return dx() if needs_x else None, dw, None, None, None
