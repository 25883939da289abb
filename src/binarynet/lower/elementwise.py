"""Operators that treat every number by itself: with constants a link, with another computed value a join."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from binarynet.fold import Folder, Link, Pending, joins
from binarynet.fold.quantizer import Quantizer
from binarynet.graph import Encoding
from binarynet.lower.step import Ref, Step, array

Array = NDArray[Any]
_INFINITE = float("inf")
# Smooth or stepwise functions that never turn back: right before a quantizer they are part of its threshold.
RISING = "asinh atan celu elu exp expm1 hardshrink selu sinh softplus softshrink"


def again(step: Step, x: Tensor, name: str = "self") -> Tensor:
    """The step's operator with its own arguments, on other numbers."""
    with torch.no_grad():
        made: Tensor = getattr(torch.ops.aten, step.op)(**{**step.arguments, name: x})
    return made


def apply(step: Step, name: str, channels: int) -> Callable[[Array], Array]:
    """(n, channels) float32 → the same, by the very operator with the very arguments.

    The numbers are shown as images of 4 × 4 where the network has images, so that torch takes the path that it takes
    for real ones. Constants have one number for each channel, else `LoweringError`.
    """
    rank, shape = step.before(name).ndim, tuple(step.value.shape)
    if shape != tuple(step.before(name).shape):
        step.refuse(f"makes {shape[1:]} of {tuple(step.before(name).shape[1:])}.", "Constants must not widen a value.")
    others = {
        key: _each_channel(step, key, value, shape)
        if isinstance(value, Tensor) and step.op != "native_batch_norm"
        else value
        for key, value in step.arguments.items()
        if key != name
    }
    operator = getattr(torch.ops.aten, step.op)

    def run(x: Array) -> Array:
        shown = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        if rank > 2:
            shown = shown[(..., *(None,) * (rank - 2))].expand(-1, -1, *(4,) * (rank - 2)).contiguous()
        with torch.no_grad():
            made = operator(**{name: shown}, **others)
        made = made[0] if isinstance(made, tuple) else made
        found: Array = made[(..., *(0,) * (rank - 2))].float().numpy() if rank > 2 else made.float().numpy()
        return np.ascontiguousarray(found)

    return run


def _each_channel(step: Step, key: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A constant with one number for each channel, as (1, channels, 1, …); one number stays what it is."""
    if value.ndim == 0:
        return value
    try:
        spread = value.broadcast_to(shape)
    except RuntimeError:
        step.refuse(f"its {key!r} of shape {tuple(value.shape)} does not fit {shape}.")
    first = spread[(slice(0, 1), slice(None), *(slice(0, 1),) * (len(shape) - 2))]
    if not torch.equal(spread.contiguous(), first.expand(shape).contiguous()):
        step.refuse(
            f"its {key!r} differs from pixel to pixel.", "One number, or one for each channel, has a counterpart."
        )
    return first.contiguous()


def vector(step: Step, value: Any, channels: int, shape: tuple[int, ...]) -> Array:
    """A constant as (channels,) float64."""
    if isinstance(value, Tensor) and value.ndim:
        value = _each_channel(step, "constant", value, shape).reshape(-1)
    found: Array = np.broadcast_to(array(value).astype(np.float64), (channels,))
    return found


def link(folder: Folder, step: Step, name: str, kind: str, **more: Any) -> Pending:
    """The step as a link behind what is pending at its argument ``name``."""
    x, channels = step.pending(name), step.before(name).shape[1]
    if step.value.dtype != torch.float32:
        step.refuse(
            f"computes in {str(step.value.dtype).removeprefix('torch.')}.",
            "Read bytes by ByteInput, or x.float(); call model.float() before lowering.",
        )
    made = Link(step.name, kind, apply(step, name, channels), **more)
    affine = made.affine
    if affine is not None and not all(np.isfinite(one).all() for one in affine):
        step.refuse("its statistics or parameters are not finite.", "Training has diverged; lower a good epoch.")
    made.run(np.zeros((1, channels), np.float32))  # what does not fit says so here
    return folder.then(step, x, made)


def arithmetic(folder: Folder, step: Step) -> Pending:
    """add, sub, rsub, mul, div: of a value and a constant, or of two values."""
    left, right, alpha = step.get("self"), step.get("other"), step.get("alpha")
    alpha = 1 if alpha is None else alpha
    rounding = step.get("rounding_mode")
    if rounding is not None:
        step.refuse(f"divides with rounding_mode={rounding!r}.")
    if isinstance(left, Ref) and isinstance(right, Ref):
        return _two(folder, step, left, right, float(alpha))
    name = "self" if isinstance(left, Ref) else "other"
    channels, shape = step.before(name).shape[1], tuple(step.value.shape)
    ones, zeros = np.ones(channels), np.zeros(channels)
    constant = vector(step, right if name == "self" else left, channels, shape)
    first = name == "self"
    if step.op == "div" and not first:
        step.refuse("divides by a value that is computed from the image.", "Say c * torch.reciprocal(x).")
    if step.op == "mul":
        affine = (constant, zeros)
    elif step.op == "div":
        affine = (1 / np.where(constant == 0, np.nan, constant), zeros)
    else:
        sign = -1.0 if step.op in ("sub", "rsub") else 1.0
        of_self, of_other = (-alpha, 1.0) if step.op == "rsub" else (1.0, sign * alpha)
        affine = (ones * of_self, constant * of_other) if first else (ones * of_other, constant * of_self)
    return link(folder, step, name, step.op, affine=affine)


def _two(folder: Folder, step: Step, left: Ref, right: Ref, alpha: float) -> Pending:
    if step.before("self").ndim != step.before("other").ndim:
        step.refuse("joins two values of different dimensions.", "Give both of them four: gate[:, :, None, None].")
    a, b = step.pending("self"), step.pending("other")
    if step.op == "mul":
        return joins.multiply(folder, step, a, b)
    if step.op == "div":
        return joins.divide(folder, step, a, b)
    if step.op == "rsub":
        a, b = b, a
    return joins.add(folder, step, a, b, -alpha if step.op in ("sub", "rsub") else alpha)


def negate(folder: Folder, step: Step) -> Pending:
    channels = step.before().shape[1]
    return link(folder, step, "self", "neg", affine=(-np.ones(channels), np.zeros(channels)))


def batch_norm(folder: Folder, step: Step) -> Pending:
    if step.get("training") or step.get("use_input_stats"):
        step.refuse(
            "normalises by statistics of the batch itself, which has no running statistics.",
            "Use track_running_stats=True, and eval mode.",
        )
    channels = step.before("input").shape[1]
    mean, variance = (step.constant(one) for one in ("running_mean", "running_var"))
    weight, offset = step.constant("weight"), step.constant("bias")
    step.get("momentum")
    assert mean is not None
    assert variance is not None
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + step.plain("eps"))
    if weight is not None:
        scale = scale * weight
    shift = -mean.astype(np.float64) * scale
    if offset is not None:
        shift = shift + offset
    if len(mean) != channels:
        step.refuse(f"norms {len(mean)} channels of a value with {channels}.")
    return link(folder, step, "input", "BatchNorm", affine=(scale, shift))


def clip(folder: Folder, step: Step) -> Pending:
    """relu, hardtanh, clamp, clamp_min, clamp_max: borders that all channels share."""
    low = {"relu": 0.0}.get(step.op, step.plain("min_val") if step.op == "hardtanh" else step.plain("min"))
    high = {"relu": None}.get(step.op, step.plain("max_val") if step.op == "hardtanh" else step.plain("max"))
    low, high = (None if one is None else array(one) for one in (low, high))
    if any(one is not None and one.size != 1 for one in (low, high)):
        return link(folder, step, "self", "clamp")
    borders = (
        -_INFINITE if low is None else float(low.reshape(())),
        _INFINITE if high is None else float(high.reshape(())),
    )
    if borders[0] > borders[1] or any(np.isnan(borders)):
        step.refuse(f"clips to {borders}, which is no range.")
    kind = "ReLU" if borders == (0, _INFINITE) else "clip"
    return link(folder, step, "self", kind, borders=borders)


def leaky(folder: Folder, step: Step) -> Pending:
    """prelu and leaky_relu: a slope below 0."""
    channels, shape = step.before().shape[1], tuple(step.value.shape)
    given = step.plain("weight") if step.op == "_prelu_kernel" else step.plain("negative_slope")
    slope = vector(step, given, channels, shape).astype(np.float32)
    if not np.isfinite(slope).all():
        step.refuse("its slope is not finite.", "Training has diverged; lower a good epoch.")
    return link(folder, step, "self", "PReLU", slope=slope, monotone=bool(np.all(slope >= 0)))


def magnitude(folder: Folder, step: Step) -> Pending:
    return joins.magnitude(folder, step, step.pending())


def rising(folder: Folder, step: Step) -> Pending:
    """A function that has no op, but never turns back: it may stand before a quantizer."""
    for name in step.arguments:
        step.plain(name) if name != "self" else step.get(name)
    return link(folder, step, "self", step.op)


def whole(folder: Folder, step: Step) -> Pending:
    """round, floor, ceil, trunc: a quantizer where what stands before it keeps it within 8 bits."""
    if step.plain("decimals"):
        step.refuse(f"rounds to {step.plain('decimals')} decimals.")
    x, channels = step.pending(), step.before().shape[1]
    run, value = apply(step, "self", channels), folder.value(x)
    reach = float(value.bound) or 1e30
    ends = run(x.evaluate(np.array([[-reach], [reach]], np.float32).repeat(channels, axis=1)))
    low, high = float(ends.min()), float(ends.max())
    if not np.isfinite([low, high]).all() or high - low > 255:
        step.refuse(f"makes whole numbers from {low:g} to {high:g}, which no 8 bits hold.", "Clip before rounding.")
    return folder.codes(
        step, x, Quantizer(run, int(low), int(high), 1, np.ones((), np.float32)), folder.free(step.name)
    )


def sign(folder: Folder, step: Step) -> Pending:
    """torch.sign: −1, 0 or +1."""
    channels = step.before().shape[1]
    numbers = apply(step, "self", channels)
    quantizer = Quantizer(numbers, -1, 1, 1, np.ones((), np.float32))
    return folder.codes(step, step.pending(), quantizer, folder.free(step.name))


def compare(folder: Folder, step: Step) -> Pending:
    """x >= c, x > c, and with a minus before x, x <= c and x < c: 0 or 1."""
    step.plain("other")
    channels = step.before().shape[1]
    run = apply(step, "self", channels)
    falls = step.op in ("le", "lt")
    quantizer = Quantizer((lambda x: 1 - run(x)) if falls else run, 0, 1, 1, np.ones((), np.float32))
    made = folder.codes(step, step.pending(), quantizer, folder.free(step.name))
    if not falls:
        return made
    flip = Link(f"{step.name}.not", "not", lambda x: 1 - x, (-np.ones(channels), np.ones(channels)))
    return folder.then(step, made, flip)


def choose(folder: Folder, step: Step) -> Pending:
    """where(condition, a, b) with constants a and b: a line through the condition's 0 and 1."""
    channels, shape = step.value.shape[1], tuple(step.value.shape)
    if tuple(step.before("condition").shape) != shape:
        step.refuse("widens its condition.")
    yes, no = (vector(step, step.plain(one), channels, shape) for one in ("self", "other"))
    a, b = yes.astype(np.float32), no.astype(np.float32)
    line = Link(step.name, "where", lambda x: np.where(x > 0.5, a, b), (yes - no, no))
    return folder.then(step, step.pending("condition"), line)


def quantize(folder: Folder, step: Step) -> Pending:
    """One of our quantizers."""
    quantizer, x = step.plain("quantizer"), step.before()
    rank, device = x.ndim, x.device

    def numbers(y: Array) -> Array:
        shown = torch.from_numpy(np.ascontiguousarray(y, np.float32)).to(device)
        shown = shown[(..., *(None,) * (rank - 2))]
        with torch.no_grad():
            found = quantizer.integers(shown)[0]
        return np.ascontiguousarray(found.reshape(y.shape).cpu().numpy())

    with torch.no_grad():
        try:
            made, scale = quantizer.integers(x)
        except Exception as error:
            step.refuse(f"its integers cannot be told: {error}")
        value = quantizer.value(x)
    if not torch.equal((made * scale).to(value.dtype), value) or not torch.equal(value, step.value.to(value.dtype)):
        step.refuse(
            "its `integers` times their scale are not what it makes.",
            "Override `integers` together with `value`, so that numbers * scale is the value.",
        )
    if quantizer.encoding == "f32":
        step.refuse(f"{quantizer} makes real values.", "Lower it in the stage that quantizes.")
    encoding = Encoding.parse(quantizer.encoding)
    if torch.any((made < encoding.low) | (made > encoding.high) | ((made - encoding.low) % encoding.step != 0)):
        step.refuse(
            f"makes a value that is no whole number of {encoding}.",
            "Override `integers` and `encoding` together with `value`, so that numbers * scale is the value.",
        )
    channels = x.shape[1]
    unit = np.broadcast_to(vector(step, scale, channels, tuple(x.shape)), (channels,)).astype(np.float32)
    if not np.all(unit > 0):
        step.refuse("its scale is not positive.")
    told = Quantizer(numbers, encoding.low, encoding.high, encoding.step, unit)
    return folder.codes(step, step.pending(), told, folder.free(step.name))
