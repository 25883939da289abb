"""Gradients of few bits, of what comes back to a layer's output: DoReFa-Net's k bits, XNOR-Net's signs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.nn.quantizers.kbit import checked


class GradientQuantizer(nn.Module):
    """DoReFa-Net's gradients: stands behind a layer, passes its output on as it is, quantizes what comes back.

    Backward, for each sample with m = max |g| over all its values:

        f(g) = 2 m (quantize_k(g / (2 m) + 1/2 + noise) - 1/2),   noise uniform within ±1/2 / (2^k - 1)

    The noise makes it unbiased: E[f(g)] = g. k = 1 leaves -m and +m only. A sample without gradient (m = 0)
    stays 0. Draws come from torch's global generator. In evaluation this is the identity both ways.

    x: (n, ...), the first axis is that of the samples. bits: 1 to 8, else `InputError`.
    Reference: Zhou et al., arXiv 1606.06160.
    """

    def __init__(self, bits: int = 6) -> None:
        super().__init__()
        self.bits = checked("GradientQuantizer", bits, 8)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        passed: Tensor = _QuantizedBackward.apply(x, self.bits)  # type: ignore[no-untyped-call]
        return passed

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class _QuantizedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        ctx.bits = bits
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return quantized_gradient(gradients[0], ctx.bits), None


def quantized_gradient(gradient: Tensor, bits: int) -> Tensor:
    """f(g) of `GradientQuantizer`: same shape and dtype, computed in float32 at least."""
    top = 2**bits - 1
    g = gradient.float() if gradient.dtype in (torch.float16, torch.bfloat16) else gradient
    m = _largest(g)
    unit = g / torch.where(m == 0, 1, 2 * m) + 0.5  # in [0, 1]
    noise = (torch.rand_like(g) - 0.5) / top
    codes = torch.round((unit + noise).clamp_(0, 1) * top)
    quantized: Tensor = 2 * m * (codes / top - 0.5)
    return quantized.to(gradient.dtype)


class BinaryGradient(nn.Module):
    """XNOR-Net's binary gradients: stands behind a layer, passes its output on, makes signs of what comes back.

    Backward, for each sample with m = max |g| over all its values: m sign(g), and 0 where g = 0. It is not unbiased:
    the largest magnitude stands for all, as the paper has it. In evaluation this is the identity both ways.

    x: (n, ...), the first axis is that of the samples.
    Reference: Rastegari et al., "XNOR-Net", arXiv 1603.05279, section 3.2 (binary gradient).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        passed: Tensor = _BinaryBackward.apply(x)  # type: ignore[no-untyped-call]
        return passed


class _BinaryBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (g,) = gradients
        return _largest(g) * g.sign()


def _largest(g: Tensor) -> Tensor:
    """max |g| of each sample, (n, 1, ...)."""
    return g.abs().amax(tuple(range(1, g.ndim)), keepdim=True) if g.ndim > 1 else g.abs()
