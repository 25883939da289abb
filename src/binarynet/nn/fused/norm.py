"""BatchNorm in training, alone or with the sign behind it (native/training/norm.h).

Behind a product of ±1 its input is integers. Then 16 bits each are all that is kept of it for the backward pass, with
which every number comes back as it was: half the memory, and half the reading.
"""

from __future__ import annotations

import functools
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from binarynet.nn import native
from binarynet.nn.fused import arena, record
from binarynet.nn.fused.packed_input import Input, version
from binarynet.nn.quantizers import SteSign


def takes(layer: nn.Module, x: Tensor) -> bool:
    """Whether `batch_norm` of x is a call of `layer`, and worth it."""
    return (
        record.is_plain(layer, nn.BatchNorm1d, nn.BatchNorm2d)
        and isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        and x.ndim == (2 if isinstance(layer, nn.BatchNorm1d) else 4)
        and layer.affine
        and (layer.momentum is not None or not layer.track_running_stats)
        and x.shape[1] == layer.num_features
        and native.takes(x, layer.weight, layer.bias)
        and x.numel() >= max(native.ELEMENTS, 2 * x.shape[1])  # of one value a channel there is no variance
        and native.channels_last(x)
    )


def batch_norm(norm: Any, sign: SteSign | None, x: Tensor, signs: Input | None) -> tuple[Tensor, bool]:
    """One training call of `norm`, and of `sign` on its answer. x (n, c), or (n, c, h, w) with the channels last.

    Also whether `signs` holds the answer now, which the tensor then only stands in for. (NaN has no sign.)
    """
    kept = torch.is_grad_enabled() and any(one.requires_grad for one in (x, norm.weight, norm.bias))
    with torch.no_grad():
        call = _Call(norm, sign, x.detach(), signs, kept)
        if norm.track_running_stats:
            rows = x.numel() // x.shape[1]
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(call.mean, norm.momentum)
            norm.running_var.lerp_(call.variance * (rows / (rows - 1)), norm.momentum)
    with _keeping(x, call.narrow):
        y: Tensor = _BatchNorm.apply(x, norm.weight, norm.bias, call)  # type: ignore[no-untyped-call]
    return y, call.written


class _Call:
    """The forward pass: statistics (c,), the answer, and x narrow, if that is possible and of use."""

    def __init__(self, norm: Any, sign: SteSign | None, x: Tensor, signs: Input | None, kept: bool) -> None:
        engine, threads = native.engine, torch.get_num_threads()
        self.shape, self.sign, self.eps = engine.NormShape(x.numel() // x.shape[1], x.shape[1]), sign, norm.eps
        self.parameters = norm.weight.detach(), norm.bias.detach()
        self.versions = [version(one) for one in (norm.weight, norm.bias)]
        self.mean, self.variance = torch.empty_like(norm.weight), torch.empty_like(norm.weight)
        engine.norm_statistics(self.shape, x.data_ptr(), self.mean.data_ptr(), self.variance.data_ptr(), threads)
        self.root = (self.variance + norm.eps).rsqrt()
        self.scale = norm.weight * self.root
        self.shift = norm.bias - self.mean * self.scale
        addresses = x.data_ptr(), self.scale.data_ptr(), self.shift.data_ptr()
        narrow = arena.like(x, torch.int16) if kept else None
        room = 0 if narrow is None else narrow.data_ptr()
        self.written = fits = False
        if signs is not None:
            self.written, fits = engine.norm_signs(
                native.kernel(), self.shape, *addresses, signs.numbers.data_ptr(), room, threads
            )
        self.answer: Tensor | None = None
        if self.written:
            self.answer = torch.full((), torch.nan).expand(x.shape)
        else:
            self.answer = arena.like(x)
            fits = engine.norm_forward(self.shape, *addresses, sign is not None, self.answer.data_ptr(), room, threads)
        self.narrow: Tensor | None = narrow if fits else None

    def window(self) -> tuple[bool, float, int, int]:
        clip = 0.0 if self.sign is None else self.sign.clip
        return self.sign is not None, clip, self.scale.data_ptr(), self.shift.data_ptr()

    def check_unchanged(self) -> None:
        """Torch's error for parameters that are no longer those of the forward pass; hooks put it out of its sight."""
        if [version(one) for one in self.parameters] != self.versions:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: a "
                f"parameter ({len(self.mean)},) of a norm, between its forward and its backward pass."
            )


def _keeping(x: Tensor, narrow: Tensor | None) -> AbstractContextManager[Any]:
    """Inside, autograd keeps `narrow` in place of x, and makes x of it again if that is to be derived."""
    if narrow is None:
        return nullcontext()

    address, shape = x.data_ptr(), x.shape  # not x: torch keeps the two functions, and what they hold

    def kept(saved: Tensor) -> Any:
        return (narrow,) if saved.data_ptr() == address and saved.shape == shape else saved

    def again(saved: Any) -> Tensor:
        if isinstance(saved, Tensor):
            return saved
        return (
            arena.like(narrow, torch.float32).copy_(narrow)
            if torch.is_grad_enabled()
            else torch.full((), torch.nan).expand(narrow.shape)
        )

    return saved_tensors_hooks(kept, again)


class _BatchNorm(torch.autograd.Function):
    """x (n, c) or (n, c, h, w) with the channels last, weight and bias (c,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, call: _Call) -> Tensor | None:
        ctx.call = call
        ctx.save_for_backward(x, weight, bias, call.narrow)
        answer, call.answer, call.narrow = call.answer, None, None  # autograd lets go of them as soon as it can
        return answer

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, narrow = ctx.saved_tensors
        call: _Call = ctx.call
        call.check_unchanged()
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for: torch's own rules
            return *_again(ctx, grads[0], x, weight, bias), None
        like = x if narrow is None else narrow
        alone = _COUNTS and grads[0].stride() == like.stride() and _holders(grads) == _alone()
        g = grads[0]
        if g.stride() != like.stride():
            g = arena.like(like, torch.float32).copy_(g)
            alone = True
        threads, rows = torch.get_num_threads(), like.numel() // like.shape[1]
        numbers, integers = (x.data_ptr(), 0) if narrow is None else (0, narrow.data_ptr())
        sign, window, scale, shift = call.window()
        operands = (call.shape, g.data_ptr(), numbers, integers, call.mean.data_ptr(), sign, window, scale, shift)
        total, product = torch.empty_like(call.mean), torch.empty_like(call.mean)
        native.engine.norm_sums(*operands, total.data_ptr(), product.data_ptr(), threads)
        dx = None
        if ctx.needs_input_grad[0]:
            slope, level = call.scale * call.root * call.root * product / -rows, call.scale * total / -rows
            dx = g if alone else arena.like(g)
            native.engine.norm_gradient(*operands, slope.data_ptr(), level.data_ptr(), dx.data_ptr(), threads)
        return dx, product * call.root, total, None


_COUNTS = hasattr(Tensor, "_use_count") and hasattr(torch._C, "_storage_Use_Count")


def _holders(grads: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Who holds a gradient and its memory, in the counts of Python and of torch."""
    torchs: Any = torch._C
    storage, uses = grads[0].untyped_storage(), Tensor._use_count  # type: ignore[attr-defined]
    return sys.getrefcount(grads[0]), uses(grads[0]), torchs._storage_Use_Count(storage._cdata)


class _Alone(torch.autograd.Function):
    """Backwards it writes down the counts of a gradient that nobody holds but autograd, on its way to it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[tuple[int, ...]]) -> Tensor:
        ctx.counts = counts
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        ctx.counts.append(_holders(grads))
        return torch.ones(1), None


@functools.cache
def _alone() -> tuple[int, ...]:
    """The counts of a gradient that may be overwritten: any other holder, of it or of a view, raises one of them.

    Measured, since they are of this Python and this torch. Where torch does not count, none is overwritten.
    """
    counts: list[tuple[int, ...]] = []
    with torch.enable_grad(), torch.inference_mode(False):
        x = torch.ones(1, requires_grad=True)
        _Alone.apply(_Alone.apply(x, counts), counts).backward()  # type: ignore[no-untyped-call]
    return counts[1]


def _again(ctx: Any, g: Tensor, *inputs: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of x, weight and bias by rules that can be derived again."""
    x, weight, bias = inputs
    y = nn.functional.batch_norm(x, None, None, weight, bias, training=True, eps=ctx.call.eps)
    if ctx.call.sign is not None:
        y = ctx.call.sign(y)
    needed = [value for value, needs in zip(inputs, ctx.needs_input_grad, strict=False) if needs]
    found = iter(torch.autograd.grad(y, needed, g, create_graph=True))
    return tuple(next(found) if needs else None for needs in ctx.needs_input_grad[:3])
