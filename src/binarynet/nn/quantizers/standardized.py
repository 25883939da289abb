"""Signs of weights that are standardised filter by filter: IR-Net's and ReCU's.

Both quantize ŵ = (w − mean) / deviation, of each filter, so half of its weights are +1: the sign then carries the most
information that one bit can. What they do to the gradient on its way back to w differs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.error_decay import ErrorDecay
from binarynet.nn.quantizers.grid import GridQuantizer
from binarynet.nn.quantizers.quantizer import sign


class Standardized(GridQuantizer):
    """A subclass says the scale of the signs and the derivative that stands in for that of sign(ŵ)."""

    def standard(self, x: Tensor) -> Tensor:
        """ŵ, same shape: each filter (all but the first axis) with mean 0 and deviation 1; 0 where all are equal."""
        axes = self.axes(x)
        centred = x - x.mean(axes, keepdim=True)
        variance = centred.square().mean(axes, keepdim=True)
        return centred / torch.where(variance > 0, variance, 1).sqrt()

    def axes(self, x: Tensor) -> tuple[int, ...]:
        """Those of one filter."""
        if x.ndim < 2:
            raise InputError(
                f"{type(self).__name__} got a tensor of shape {tuple(x.shape)}; it takes filters (out, in, ...)."
            )
        return tuple(range(1, x.ndim))

    def scale(self, standard: Tensor) -> Tensor:
        """(out, 1, ...), without gradient."""
        raise NotImplementedError

    def slope(self, standard: Tensor) -> Tensor:
        """What stands in for d sign(ŵ) / d ŵ, elementwise."""
        raise NotImplementedError

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        standard = self.standard(x.detach())
        return sign(standard), self.scale(standard)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            standard = self.standard(leaf)
        seen = standard.detach()
        arriving = gradient * self.scale(seen) * self.slope(seen)
        (passed,) = torch.autograd.grad(standard, leaf, arriving.to(standard.dtype))
        return passed


class LibraSign(ErrorDecay, Standardized):
    """IR-Net's weights: balanced signs, times a power of two for each filter.

    Forward: q(w) = 2^s sign(ŵ), ŵ = (w − mean) / deviation of the filter, s = round(log2 mean |ŵ|).
    Gradient: through ŵ, with k t (1 − tanh(t ŵ)²), k = max(1/t, 1), for the sign (the error decay estimator);
    the power of two counts as a constant. `t` is assigned before every epoch, as that of `EdeSign`.

    Weights have shape (out, in, ...), else `InputError`.
    Reference: Qin, Gong, Liu, Shen, Wei, Yu, Song, "Forward and Backward Information Retention for Accurate
    Binary Neural Networks" (IR-Net), CVPR 2020, arXiv 1909.10788: Libra-PB.
    """

    name = "libra_sign"

    def scale(self, standard: Tensor) -> Tensor:
        magnitude = standard.abs().mean(tuple(range(1, standard.ndim)), keepdim=True)
        return torch.exp2(torch.log2(magnitude.clamp(min=2.0**-20)).round())


class RecuSign(Standardized):
    """ReCU's weights: balanced signs, whose gradient ends where dead weights begin.

    Forward: q(w) = sign(ŵ), ŵ = (w − mean) / deviation of the filter.
    Gradient: through ŵ clipped to ±Q, Q = −mean |ŵ| ln(2 − 2τ), the τ-quantile of a Laplace distribution: 1 inside,
    0 outside. `tau`, from 1/2 up to but not 1, is assigned before every epoch; it rises from 0.85 to 0.99.

    Weights have shape (out, in, ...), else `InputError`. ReCU's learned scale of each filter is left to the BatchNorm
    behind the layer, which has one.
    Reference: Xu, Lin, Liu, Chen, Shao, Gao, Tian, Ji, "ReCU: Reviving the Dead Weights in Binary Neural Networks",
    ICCV 2021, arXiv 2103.12369.
    """

    name = "recu_sign"

    def __init__(self, tau: float = 0.85) -> None:
        super().__init__()
        self.tau = tau

    @property
    def tau(self) -> float:
        return self._tau

    @tau.setter
    def tau(self, value: float) -> None:
        if not 0.5 < value < 1:
            raise InputError(f"RecuSign: tau={value!r}; it is a quantile above 1/2 and below 1.")
        self._tau = float(value)

    def scale(self, standard: Tensor) -> Tensor:
        return standard.new_ones(())

    def slope(self, standard: Tensor) -> Tensor:
        spread = standard.abs().mean(tuple(range(1, standard.ndim)), keepdim=True)
        return standard.abs() <= -spread * math.log(2 - 2 * self._tau)

    def extra_repr(self) -> str:
        return f"tau={self._tau:g}"
