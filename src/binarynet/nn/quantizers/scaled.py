"""XNOR-Net's weights: the sign of a weight times the mean magnitude of its filter."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.grid import GridQuantizer
from binarynet.nn.quantizers.quantizer import sign

GRADIENTS = ("exact", "paper", "released")


class ScaledSign(GridQuantizer):
    """Weights of Binary-Weight-Networks and XNOR-Net: one scale a filter, and signs.

    Forward: q(W) = alpha sign(W), alpha = mean |W| over each filter (all but the first axis, n weights): the
    alpha and the signs that are nearest to W in L2.
    Gradient: with g = dC/dq and the window 1{|W| <= 1} of the clipped straight-through sign,

        exact     sign(W_i) / n * sum_j g_j sign(W_j) + alpha g_i 1{|W_i| <= 1}   alpha depends on every W_j
        paper     g_i (1 / n + alpha 1{|W_i| <= 1})                               as printed: j = i alone
        released  g_i (1 / n + alpha 1{|W_i| < 1}) (1 - 1 / c_in) n               the authors' code

    Weights have shape (out, in, ...) with at least two axes, else `InputError`. `released` needs c_in > 1
    (its factor is 0 otherwise): `InputError` in the backward pass.

    Reference: Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net", arXiv 1603.05279; `released` is
    `updateBinaryGradWeight` of their code, and the exact form is in the notes of its PyTorch port by J. Cao.
    """

    name = "scaled_sign"

    def __init__(self, gradient: Literal["exact", "paper", "released"] = "exact") -> None:
        super().__init__()
        if gradient not in GRADIENTS:
            raise InputError(f"ScaledSign: gradient={gradient!r}; choose one of {', '.join(GRADIENTS)}.")
        self.gradient = gradient

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return sign(x), self._alpha(x)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        x, n = x.detach(), x[0].numel()
        alpha, magnitude = self._alpha(x), x.abs()
        if self.gradient == "exact":
            signs = sign(x)
            through_alpha = (gradient * signs).sum(self._filter(x), keepdim=True) / n  # (out, 1, ...)
            return signs * through_alpha + gradient * alpha * (magnitude <= 1)
        if self.gradient == "paper":
            return gradient * (1 / n + alpha * (magnitude <= 1))
        if x.shape[1] < 2:
            raise InputError(
                "ScaledSign(gradient='released') multiplies by 1 - 1 / (input channels), which is 0 for a layer "
                "with one. Use 'exact' there, or leave that layer float, as the authors do."
            )
        return gradient * (1 / n + alpha * (magnitude < 1)) * (n - n / x.shape[1])

    def _alpha(self, x: Tensor) -> Tensor:
        return x.detach().abs().mean(self._filter(x), keepdim=True)  # (out, 1, ...)

    def _filter(self, x: Tensor) -> tuple[int, ...]:
        """The axes of one filter."""
        if x.ndim < 2:
            raise InputError(f"ScaledSign got a tensor of shape {tuple(x.shape)}; it scales filters (out, in, ...).")
        return tuple(range(1, x.ndim))

    def extra_repr(self) -> str:
        return f"gradient={self.gradient!r}"
