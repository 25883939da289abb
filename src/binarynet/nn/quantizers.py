"""Quantizers: what a layer applies to its input and to its latent weights.

One class, one pair of rules: a forward value and a pseudo-gradient that stands in for the derivative of a
step. The same class serves weights and activations, and none of them puts anything into the state dict.

=================  =========================  ===========================================
name               forward                    pseudo-gradient
=================  =========================  ===========================================
`ste_sign`         sign(x)                    1 where |x| <= clip
`stochastic_sign`  +1 with p = (x + 1) / 2    1 where |x| <= clip
`identity_sign`    sign(x)                    1
`approx_sign`      sign(x)                    2 - 2|x| where |x| <= 1
`tanh_sign`        sign(x)                    1 - tanh(x)^2
`swish_sign`       sign(x)                    b (2 - b x tanh(b x / 2)) / (1 + cosh(b x))
`ede_sign`         sign(x)                    k t (1 - tanh(t x)^2), k = max(1/t, 1)
`byte_input`       scale (2 byte - 255)       the true derivative
=================  =========================  ===========================================

sign(0) = sign(-0.0) = +1, windows include their border, and NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from binarynet.errors import InputError, closest
from binarynet.nn import native
from binarynet.nn.reader import ByteReader, per_channel, spread


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, -1 where x < 0, NaN where x is NaN; same shape and dtype, no gradient of its own.

    floor(clamp(x, -1, 0)) is 0 or -1. Unlike `torch.where(x >= 0, 1, -1)` this carries NaN along, and in
    eager mode it allocates once: a third of the time on a 4096 x 4096 weight.
    """
    x = x.detach()
    if native.takes(x) and x.numel() >= native.ELEMENTS:
        return native.sign(x)
    return x.clamp(-1, 0).floor_().mul_(2).add_(1)


class _WithPseudoGradient(torch.autograd.Function):
    """Forward: `value` as it is. Backward: `quantizer.propagate` to x, nothing to `value`.

    x itself is what is saved, so a latent weight costs no memory for its backward pass.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Tensor, quantizer: Quantizer) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Quantizer], output: Tensor) -> None:
        x, _, ctx.quantizer = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return ctx.quantizer.propagate(grads[0], x), None, None


class Quantizer(nn.Module):
    """Maps a float tensor to a tensor of the same shape and dtype that holds few distinct values.

    A subclass sets `name` (how recipes and configurations call it) and `bits`, and overrides
    `pseudo_gradient`; `value` is sign(x) unless it says otherwise. `forward` joins the two, and refuses
    integer tensors, whose sign would be +1 everywhere, with `InputError`.

    `encoding` and `integers` say how the values are stored, for the integer graph: they are integers of that
    encoding times a scale. A quantizer whose values are not ±1 overrides both.
    """

    name: ClassVar[str]
    bits: int = 1
    encoding: str = "b1"

    def value(self, x: Tensor) -> Tensor:
        """The value at evaluation, without gradient: deterministic, whatever mode the module is in."""
        return sign(x)

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(numbers, scale) with value(x) = numbers * scale, without gradient.

        numbers: same shape and dtype as x, whole numbers of `encoding` (`b1`: -1, +1; `t2`: -1, 0, +1;
        `bK`: odd, |n| < 2^K; `uK`: 0..2^K - 1; `iK`: two's complement range). scale: 0-dimensional, or for
        weights also (out, 1, ...). A quantizer of activations has a scale that does not depend on x.
        """
        return self.value(x), x.new_ones(())

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        """What stands in for d value / d x, elementwise; a new tensor, same shape as x."""
        raise NotImplementedError(f"{type(self).__name__} defines no pseudo-gradient.")

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient of x, given that of the value."""
        return gradient * self.pseudo_gradient(x).to(gradient.dtype)

    @property
    def is_plain_sign(self) -> bool:
        """Whether its value is sign(x), in training too, so that whoever multiplies may read it off x."""
        rule = type(self)
        values = rule.value is Quantizer.value and rule.training_value is Quantizer.training_value
        return values and rule.forward is Quantizer.forward

    def training_value(self, x: Tensor) -> Tensor:
        """The value in training mode; differs from `value` only where a quantizer draws at random."""
        return self.value(x)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            raise InputError(
                f"{type(self).__name__} got a tensor of {x.dtype}: the sign of pixel bytes is +1 everywhere. "
                "Put binarynet.nn.ByteInput() in front of the first layer, or convert to float."
            )
        value = self.training_value(x) if self.training else self.value(x)
        result: Tensor = _WithPseudoGradient.apply(x, value, self)  # type: ignore[no-untyped-call]
        for watcher in _watchers:
            watcher(self, x, result)
        return result


Watcher = Callable[[Quantizer, Tensor, Tensor], None]
_watchers: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Inside, ``watcher(quantizer, x, value)`` is told of every value that a quantizer makes."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class SteSign(Quantizer):
    """Sign with the clipped straight-through estimator.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 1 where |x| <= clip (border included), 0 elsewhere; with clip = 1 the derivative of
    hardtanh. For latent weights that the optimizer keeps in [-1, 1] the window is always open, and
    `identity_sign` trains to the same numbers for less work.

    Reference: Courbariaux, Hubara, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", arXiv 1602.02830,
    "Propagating gradients through discretization". Later papers widen the window: QuickNet 1.25,
    MeliusNet 1.3.
    """

    name = "ste_sign"

    def __init__(self, clip: float = 1.0) -> None:
        super().__init__()
        self.clip = _positive("SteSign", "clip", clip)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return x.detach().abs().le_(self.clip)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled() and native.takes(gradient, x) and x.numel() >= native.ELEMENTS:
            passed = native.window_gradient(gradient, x, self.clip)
            if passed is not None:
                return passed
        return super().propagate(gradient, x)

    def extra_repr(self) -> str:
        return f"clip={self.clip:g}"


class StochasticSign(SteSign):
    """Random sign in training, plain sign in evaluation.

    Forward (training): q(x) = +1 with probability clip((x + 1) / 2, 0, 1), else -1, so that E[q(x)] =
    hardtanh(x). Forward (evaluation): +1 if x >= 0 else -1.
    Pseudo-gradient: 1 where |x| <= clip (border included), 0 elsewhere.

    Reference: Courbariaux et al., arXiv 1602.02830, "Deterministic vs stochastic binarization". Draws come
    from torch's global generator.
    """

    name = "stochastic_sign"

    @property
    def is_plain_sign(self) -> bool:
        """Whether its value is sign(x), in training too, so that whoever multiplies may read it off x."""
        rule = type(self)
        values = rule.value is Quantizer.value and rule.training_value is Quantizer.training_value
        return values and rule.forward is Quantizer.forward

    def training_value(self, x: Tensor) -> Tensor:
        # Noise uniform in (-1, 1]: x = 1 is never below it, x = -1 always is. In float32 whatever x is, as a
        # bfloat16 draw has only 256 levels.
        noise = 1 - 2 * torch.rand_like(x, dtype=torch.float32)
        return sign(x - noise).to(x.dtype)


class IdentitySign(Quantizer):
    """Sign with the plain straight-through estimator, which lets every gradient pass.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 1.

    Reference: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
    Conditional Computation", arXiv 1308.3432 (after a lecture of Hinton).
    """

    name = "identity_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient


class ApproxSign(Quantizer):
    """Sign with the derivative of a piecewise quadratic.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 2 - 2|x| where |x| <= 1, 0 elsewhere.

    Reference: Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net", ECCV 2018.
    """

    name = "approx_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return (2 - 2 * x.detach().abs()).clamp_(min=0)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        own = type(self).pseudo_gradient is ApproxSign.pseudo_gradient
        if own and x.numel() >= native.ELEMENTS and not torch.is_grad_enabled() and native.takes(gradient, x):
            passed = native.hat_gradient(gradient, x)
            if passed is not None:
                return passed
        return super().propagate(gradient, x)


class TanhSign(Quantizer):
    """Sign with the derivative of tanh.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 1 - tanh(x)^2.

    Reference: Kim, Smaragdis, "Bitwise Neural Networks", arXiv 1601.06071.
    """

    name = "tanh_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return 1 - torch.tanh(x.detach()).square()


class SwishSign(Quantizer):
    """Sign with the derivative of a scaled swish, which overshoots and turns negative outside the window.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: b (2 - b x tanh(b x / 2)) / (1 + cosh(b x)), b = beta.

    Reference: Darabi, Belbahri, Courbariaux, Partovi Nia, "BNN+: Improved Binary Network Training",
    arXiv 1812.11800 (beta = 5).
    """

    name = "swish_sign"

    def __init__(self, beta: float = 5.0) -> None:
        super().__init__()
        self.beta = _positive("SwishSign", "beta", beta)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        # Beyond 60 the value is below 1e-23; without the clamp an infinite x would give inf / inf.
        z = (self.beta * x.detach()).clamp(-60, 60)
        return self.beta * (2 - z * torch.tanh(z / 2)) / (1 + torch.cosh(z))

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}"


class EdeSign(Quantizer):
    """Sign with the error decay estimator: from nearly the identity to nearly the true derivative.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: k t (1 - tanh(t x)^2), k = max(1/t, 1).
    `t` is a plain attribute, meant to be assigned before every epoch: e of E epochs use
    t = t_min (t_max / t_min)^(e / E), with t_min = 0.1 (their ResNet-20 code: 0.001) and t_max = 10.

    Reference: Qin, Gong, Liu, Shen, Wei, Yu, Song, "Forward and Backward Information Retention for Accurate
    Binary Neural Networks" (IR-Net), CVPR 2020.
    """

    name = "ede_sign"

    def __init__(self, t: float = 1.0) -> None:
        super().__init__()
        self.t = t

    @property
    def t(self) -> float:
        return self._t

    @t.setter
    def t(self, value: float) -> None:
        self._t = _positive("EdeSign", "t", value)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        t = self._t
        return max(1 / t, 1.0) * t * (1 - torch.tanh(t * x.detach()).square())

    def extra_repr(self) -> str:
        return f"t={self._t:g}"


class ByteInput(Quantizer):
    """The fixed first step of every image model: a raw byte read as eight digits of ±1.

    Forward: q(x) = scale (2 byte - 255). With scale 1 the odd integers -255, -253, .., 255, exact in float32 and in
    bfloat16; a BatchNorm behind the first layer absorbs the factor. `scale=1/255` gives the papers' 2x/255 - 1, for
    networks without that BatchNorm. Gradient: the true derivative (nothing is learnt here).

    x holds bytes 0..255 (uint8, other integers, or whole floats) or intensities in [0, 1], of which the nearest byte
    is taken; what else it holds is refused at the first batch with `InputError`, see docs/data.md and
    `binarynet.nn.reader`.

    `mean` and `std`, a number or one for each channel, are for networks that learn from normalised floats:
    q(x) = (byte / 255 - mean) / std for bytes, and floats x *are* (byte / 255 - mean) / std, of which again the
    nearest byte is taken. Dimension 1 of x is the channels. `affine` says what that makes of 2 byte - 255.

    The result is float32, or what `.double()` and `.bfloat16()` made of the model.

    Reference: Courbariaux et al., arXiv 1602.02830, "First layer", with the input scaling of their Theano
    code.
    """

    name = "byte_input"
    bits = 8
    encoding = "b8"

    def __init__(
        self,
        scale: float = 1.0,
        *,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self._makes = torch.get_default_dtype()
        if mean is None and std is None:
            self.reader = ByteReader()
            self._scale: tuple[float, ...] = (_positive("ByteInput", "scale", scale),)
            self._offset: tuple[float, ...] = (0.0,)
            return
        if mean is None or std is None or scale != 1:
            raise InputError("ByteInput takes mean and std together, and no scale beside them.")
        means, stds = per_channel(mean, std)
        self.reader = ByteReader((means, stds))
        self._scale = tuple(1 / (510 * one) for one in stds)
        self._offset = tuple((0.5 - centre) / one for centre, one in zip(means, stds, strict=True))

    @property
    def scale(self) -> float:
        """q = (2 byte - 255) * scale. `InputError` where mean and std make more of it than a multiple: see `affine`."""
        if len(self._scale) > 1 or self._offset[0]:
            raise InputError(
                f"{self!r} is no multiple of 2 byte − 255. Only mean=0.5 with one std is; or leave the normalisation "
                "to the BatchNorm behind the first layer, with ByteInput() and bytes or floats in [0, 1]."
            )
        return self._scale[0]

    def affine(self) -> tuple[Tensor, Tensor]:
        """(scale, offset) with q = (2 byte - 255) * scale + offset, float32: 0-dimensional, or both (channels,)."""
        scale, offset = torch.tensor(self._scale), torch.tensor(self._offset)
        return (scale, offset) if len(scale) > 1 else (scale[0], offset[0])

    def value(self, x: Tensor) -> Tensor:
        return self._read(x.detach())

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * self.reader(x.detach(), self.training) - 255, torch.tensor(self.scale, device=x.device)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        leaf = x.detach().float().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self._read(leaf).sum(), leaf)
        return gradient

    def forward(self, x: Tensor) -> Tensor:
        return self._read(x)

    def _read(self, x: Tensor) -> Tensor:
        makes = self._makes
        if makes == torch.float16 and 255 * max(self._scale) > 4:
            raise InputError(
                f"{self!r} in a float16 model: sums of {65504 / 255 / max(self._scale):.0f} bytes pass 65504, where "
                "float16 ends. Use .bfloat16() or torch.autocast, or ByteInput(scale=1/255)."
            )
        codes = self.reader(x, self.training, torch.float64 if makes == torch.float64 else torch.float32)
        odd = 2 * codes - 255
        if self.reader.normal is not None:
            odd = odd * spread(self._scale, codes) + spread(self._offset, codes)
        elif self._scale[0] != 1:
            odd = odd * self._scale[0]
        return odd.to(makes)

    def _apply(self, fn: Any, recurse: bool = True) -> ByteInput:
        self._makes = fn(torch.empty(0, dtype=self._makes)).dtype  # .double(), .half(), .to(…): no tensor of its own
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        if self.reader.normal is None:
            return f"scale={self._scale[0]:g}"
        mean, std = (one[0] if len(one) == 1 else list(one) for one in self.reader.normal)
        return f"mean={mean}, std={std}"


QUANTIZERS: dict[str, type[Quantizer]] = {
    quantizer.name: quantizer
    for quantizer in (
        SteSign,
        StochasticSign,
        IdentitySign,
        ApproxSign,
        TanhSign,
        SwishSign,
        EdeSign,
        ByteInput,
    )
}


def get(spec: str | Quantizer | None) -> Quantizer | None:
    """The quantizer that `spec` stands for: a new one with default settings for a name, itself for an object.

    `None` stays `None` and means: leave the values as they are. `InputError` for an unknown name.
    """
    if spec is None or isinstance(spec, Quantizer):
        return spec
    if isinstance(spec, str) and spec in QUANTIZERS:
        return QUANTIZERS[spec]()
    raise InputError(
        f"{spec!r} is not a quantizer.{closest(spec, QUANTIZERS)} Known names: {', '.join(QUANTIZERS)}; "
        "for other settings pass an object such as SteSign(clip=1.25); None leaves the values as they are."
    )


def _positive(owner: str, setting: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise InputError(f"{owner}: {setting} = {value!r}; it must be a positive finite number.")
    return float(value)
