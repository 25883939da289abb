"""One product of a training step on packed operands: its forward pass and both gradients, as autograd takes them."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from binarynet.nn import native
from binarynet.nn.fused import arena, record
from binarynet.nn.fused.packed_input import Input, Window, check_unchanged, geometry_of, keeping, pack, version
from binarynet.nn.quantizers import Quantizer

_conv2d_input: Any = torch.nn.grad.conv2d_input  # type: ignore[attr-defined]
_conv2d_weight: Any = torch.nn.grad.conv2d_weight  # type: ignore[attr-defined]

_LEVELS = {"int8": 254, **{str(bits): 2**bits - 1 for bits in range(1, 9)}}


def output_sizes(sizes: Any, kernel: Any, window: Window) -> list[int]:
    """The outputs along each side."""
    return [
        (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
        for size, taps, stride, padding, dilation in zip(sizes, kernel, *window, strict=True)
    ]


def product(
    x: Tensor, values: Tensor, latent: Quantizer | None, window: Window, groups: int, operand: Input | None
) -> Tensor | str:
    """x (n, c, h, w) channels last, values (f, c / groups, kh, kw) -> (n, f, h', w'), or why not.

    `latent`: the quantizer that makes signs of `values`; None: they are what a quantizer has made. `operand`: x as
    bits, if that is known; x itself is not read then.
    """
    if not values.is_contiguous() or not native.takes(values):
        return "its quantized weights do not lie in rows"
    geometry = geometry_of(x.shape, values.shape, window, groups)
    weights = _pack_weights(geometry, values.detach(), latent is not None)
    if weights is None:
        return "its weights are no small integers times a scale for each filter"
    if operand is None:
        operand = pack(geometry, x.detach())
    if operand.form == native.engine.Form.real and not torch.is_grad_enabled():
        return "its input is real: W1A32 is evaluated in float32"
    # A real x is kept as it is, and torch sees whether it changes before the backward pass.
    with nullcontext() if operand.form == native.engine.Form.real else keeping(x, operand):
        task = _Task(geometry, operand, weights, values.detach(), latent, window, groups)
        y: Tensor = _Product.apply(x, values, task)  # type: ignore[no-untyped-call]
    return y


class _Weights:
    """native/training/codes.h: `form`, numbers and scales of a layer's weights."""

    def __init__(self, form: Any, numbers: Tensor, scales: Tensor) -> None:
        self.form, self.numbers, self.scales = form, numbers, scales

    def addresses(self) -> tuple[Any, int, int]:
        return self.form, self.numbers.data_ptr(), self.scales.data_ptr()


def _pack_weights(geometry: Any, values: Tensor, latent: bool) -> _Weights | None:
    engine, threads = native.engine, torch.get_num_threads()
    scales = torch.empty(values.shape[0])
    bits = torch.empty(engine.weight_words(geometry), dtype=torch.int32)
    if engine.pack_weight_signs(
        native.kernel(), geometry, values.data_ptr(), latent, bits.data_ptr(), scales.data_ptr(), threads
    ):
        return _Weights(engine.Form.bits, bits, scales)
    numbers = torch.empty(values.numel(), dtype=torch.int8)
    if latent or not engine.pack_weight_bytes(
        geometry, values.data_ptr(), numbers.data_ptr(), scales.data_ptr(), threads
    ):
        return None
    return _Weights(engine.Form.bytes, numbers, scales)


class _Task:
    """One product of a step, and how its gradients are to be rounded."""

    def __init__(
        self,
        geometry: Any,
        operand: Input,
        weights: _Weights,
        values: Tensor,
        latent: Quantizer | None,
        window: Window,
        groups: int,
    ) -> None:
        self.geometry, self.operand, self.weights = geometry, operand, weights
        self.values, self.latent = values, latent  # latent weights and their quantizer; else quantized ones and None
        self.window, self.groups, self.version = window, groups, version(values)
        places = prod(output_sizes(operand.shape[2:], values.shape[2:], window))
        self.multiplications = operand.shape[0] * places * values.numel()
        self.kernel, self.mode, self.layer = native.kernel(), native.gradients(), record.layer()
        # Drawn here, in the order of the forward pass, which is that of a resumed run, too.
        draws = self.mode in _LEVELS and torch.is_grad_enabled()
        self.seed = int(torch.randint(2**62, ())) if draws else 0

    def by(self, product: str, unit: str) -> str:
        """What makes a product: `native.kernel`, or the instruction set that takes what that does not."""
        name = native.engine.multiplier(self.kernel, self.geometry, product, unit)
        signs = self.operand.form == self.weights.form == native.engine.Form.bits
        # A matrix unit multiplies bytes only; signs are expanded for it.
        return f"{name} bits" if product == "forward" and signs and name != "amx" else f"{name} {unit}"


class _Product(torch.autograd.Function):
    """x (n, c, h, w) channels last, weight (f, c / groups, kh, kw): latent, or as the quantizer made it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, task: _Task) -> Tensor:
        ctx.task = task
        ctx.save_for_backward(x, weight)
        operand, weights = task.operand, task.weights
        if operand.form == native.engine.Form.real:
            quantized = weight if task.latent is None else task.latent.value(weight)
            with record.timed(task.layer, "forward", "torch float32: its input is real", task.multiplications):
                return F.conv2d(x, quantized, None, *task.window, task.groups)
        sizes = output_sizes(x.shape[2:], weight.shape[2:], task.window)
        height, width = sizes
        y = arena.images(x.shape[0], weight.shape[0], height, width)
        with record.timed(task.layer, "forward", task.by("forward", "bytes"), task.multiplications):
            native.engine.forward(
                task.kernel,
                task.geometry,
                operand.codes,
                operand.numbers.data_ptr(),
                *weights.addresses(),
                y.data_ptr(),
                torch.get_num_threads(),
            )
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        task: _Task = ctx.task
        last = grads[0].contiguous(memory_format=torch.channels_last)
        if torch.is_grad_enabled() or not native.takes(last):
            return _again(ctx, grads[0])
        check_unchanged(task.values, task.version)
        if task.operand.form == native.engine.Form.real:
            _ = ctx.saved_tensors  # torch's error for an x that is no longer that of the forward pass
        needs_x, needs_weight, _ = ctx.needs_input_grad
        gradient = _Gradient(task, last)
        dx = gradient.of_input() if needs_x else None
        return dx, gradient.of_weights() if needs_weight else None, None


def _again(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    """The two gradients by rules of torch, which can be derived again, as far as they are needed."""
    x, weight = ctx.saved_tensors
    task: _Task = ctx.task
    needs_x, needs_weight, _ = ctx.needs_input_grad
    dx = dw = None
    if needs_x:
        quantized = weight if task.latent is None else task.latent(weight)
        dx = _conv2d_input(x.shape, quantized, gradient, *task.window, task.groups)
    if needs_weight:
        dw = _conv2d_weight(x, weight.shape, gradient, *task.window, task.groups)
        dw = dw if task.latent is None else task.latent.propagate(dw, weight)
    return dx, dw, None


class _Gradient:
    """A gradient (n, f, h', w') channels last, on its way into the two products."""

    def __init__(self, task: _Task, values: Tensor) -> None:
        self.task, self.values = task, values
        self.images, self.filters = torch.empty(values.shape[0]), torch.empty(values.shape[1])
        self.finite = task.mode in _LEVELS and native.engine.gradient_ranges(
            task.geometry,
            values.data_ptr(),
            task.weights.scales.data_ptr(),
            self.images.data_ptr(),
            self.filters.data_ptr(),
            torch.get_num_threads(),
        )

    def of_input(self) -> Tensor:
        task = self.task
        dx = arena.images(*task.operand.shape)
        unit = self._unit(True)
        with record.timed(task.layer, "gradient of the input", task.by("input", unit), task.multiplications):
            native.engine.input_gradient(
                task.kernel,
                task.geometry,
                self._rounding(unit, 0),
                self.values.data_ptr(),
                *task.weights.addresses(),
                dx.data_ptr(),
                torch.get_num_threads(),
            )
        return dx

    def of_weights(self) -> Tensor:
        task, operand = self.task, self.task.operand
        if operand.form == native.engine.Form.real:
            by = "torch float32: its input is real"
            with record.timed(task.layer, "gradient of the weights", by, task.multiplications):
                dw = _conv2d_weight(operand.numbers, task.values.shape, self.values, *task.window, task.groups)
        else:
            dw = torch.empty_like(task.values)
            unit = self._unit(native.engine.weight_gradient_fits(task.geometry, operand.codes.most))
            with record.timed(task.layer, "gradient of the weights", task.by("weights", unit), task.multiplications):
                native.engine.weight_gradient(
                    task.kernel,
                    task.geometry,
                    self._rounding(unit, 1),
                    self.values.data_ptr(),
                    operand.codes,
                    operand.numbers.data_ptr(),
                    dw.data_ptr(),
                    torch.get_num_threads(),
                )
        return dw if task.latent is None else task.latent.propagate(dw, task.values)

    def _unit(self, bytes_fit: bool) -> str:
        """What multiplies: a unit of native/training/strip.h. Bytes carry no infinity and no NaN; float32 does."""
        if self.task.mode in _LEVELS:
            if self.finite and bytes_fit:
                return "bytes"
            if not self.finite:
                return "float32"
        real = self.task.mode == "float32" or not native.engine.has_bfloat16(self.task.kernel)
        return "float32" if real else "bfloat16"

    def _rounding(self, unit: str, which: int) -> Any:
        return native.engine.Rounding(
            unit,
            _LEVELS.get(self.task.mode, 254),
            2 * self.task.seed + which,
            self.images.data_ptr(),
            self.filters.data_ptr(),
        )
