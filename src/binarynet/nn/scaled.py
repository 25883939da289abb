"""XNOR-Net's scales: the sign of a weight times the mean magnitude of its filter, and the K map of its inputs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn.conv import BinaryConv2d
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.quantizers import Quantizer, sign

GRADIENTS = ("exact", "paper", "released")


class GridQuantizer(Quantizer):
    """A quantizer whose values are `integers(x)`, multiplied out: a subclass defines that and the gradient."""

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError(f"{type(self).__name__} defines no integers.")

    def value(self, x: Tensor) -> Tensor:
        numbers, scale = self.integers(x)
        return numbers * scale


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


class KMap(nn.Module):
    """A binary layer whose outputs are multiplied by the mean magnitude of the inputs that each has seen.

    y = layer(x) * K. Convolution: K = A * k, A = mean over channels of |x|, k a box filter of the kernel's size
    and sum 1, with the stride, padding (zeros) and dilation of the layer: (n, 1, height, width). Linear: K =
    mean |x| over the features, (n, 1). The gradient goes through K as well.

    x is real, so the layer needs its own `input_quantizer`. K depends on the data: it folds into no threshold,
    and the authors' released code leaves it out.
    `InputError` for a layer without `input_quantizer`, with a bias (which K would scale), or with groups.

    Reference: Rastegari et al., arXiv 1603.05279 (its matrix K).
    """

    box: Tensor

    def __init__(self, layer: BinaryConv2d | BinaryLinear) -> None:
        super().__init__()
        if layer.input_quantizer is None or layer.bias is not None or getattr(layer, "groups", 1) != 1:
            raise InputError(
                f"KMap around {layer}: it needs an input_quantizer (K is made of the real inputs), bias=False "
                "(K would scale a bias too) and groups=1."
            )
        self.layer = layer
        if isinstance(layer, BinaryConv2d):
            height, width = layer.kernel_size
            box = torch.full((1, 1, height, width), 1 / (height * width))
            self.register_buffer("box", box, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y * self.scales(x)

    def scales(self, x: Tensor) -> Tensor:
        """K of the inputs x: (n, 1, height, width) of the outputs, or (n, 1)."""
        if isinstance(self.layer, BinaryLinear):
            return x.abs().mean(-1, keepdim=True)
        rows, columns = self.layer.pad_widths
        magnitude = F.pad(x.abs().mean(-3, keepdim=True), (*columns, *rows))  # (n, 1, padded h, padded w)
        return F.conv2d(magnitude, self.box, stride=self.layer.stride, dilation=self.layer.dilation)
