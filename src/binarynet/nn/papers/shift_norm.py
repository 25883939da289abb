"""Shift-based batch normalisation: every product of BatchNorm but those of the statistics' means is a shift.

    training     μ = mean(x)     C = x − μ     s = (mean(C AP2(C)) + ε)^(−1/2)
                 y = AP2(γ) (C AP2(s)) + β
    evaluation   y = AP2(γ) ((x − running_mean) AP2(running_inv_std)) + β

Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, "Shift-based Batch Normalization", with the
choices of the authors' Torch7 code: what is averaged over the batches is the inverse deviation s, before it is
rounded; and backwards AP2 counts as the identity, which with g = dL/dy gives

    dL/dx = AP2(γ) AP2(s) (g − mean(g) − AP2(C) AP2(s)² mean(AP2(C) g))
    dL/dγ = Σ g AP2(C AP2(s))        dL/dβ = Σ g
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.ap2 import Rounding, ap2


class _Normalise(torch.autograd.Function):
    """The training rule above. x (n, c, ...); returns y, and without gradient μ and s, (c,) each."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, rounding: Rounding
    ) -> tuple[Tensor, Tensor, Tensor]:
        others = [0, *range(2, x.ndim)]
        shape = (1, -1, *(1,) * (x.ndim - 2))
        mean = x.mean(others)  # (c,)
        centred = x - mean.view(shape)
        inv_std = ((ap2(centred, rounding) * centred).mean(others) + eps).rsqrt()  # (c,)
        gamma, shift = ap2(weight, rounding).view(shape), ap2(inv_std, rounding).view(shape)
        ctx.save_for_backward(centred, gamma, shift)
        ctx.rounding = rounding
        ctx.mark_non_differentiable(mean, inv_std)
        return gamma * (centred * shift) + bias.view(shape), mean, inv_std

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        g = grads[0]
        centred, gamma, shift = ctx.saved_tensors
        others = [0, *range(2, g.ndim)]
        normal = ap2(centred, ctx.rounding) * shift  # AP2(C) AP2(s) = AP2(C AP2(s)): scaling by 2^k commutes
        projected = normal * (normal * g).mean(others, keepdim=True)
        x = gamma * shift * (g - g.mean(others, keepdim=True) - projected)
        return x, (g * normal).sum(others), g.sum(others), None, None


class _ShiftBatchNorm(nn.Module):
    """Parameters and statistics of `ShiftBatchNorm1d` and `ShiftBatchNorm2d`; all four have shape (num_features,).

    `weight` (γ) and `bias` (β) are trained. `running_mean` and `running_inv_std` are buffers: after a training
    batch, running <- (1 - momentum) running + momentum batch. Half precision is normalised in float32.
    """

    ndims: tuple[int, ...]
    running_mean: Tensor
    running_inv_std: Tensor

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.125, *, rounding: Rounding = "nearest"
    ) -> None:
        super().__init__()
        ap2(torch.ones(()), rounding)  # refuses an unknown rounding here, not in the first batch
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.rounding: Rounding = rounding
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_inv_std", torch.ones(num_features))

    def affine(self) -> tuple[Tensor, Tensor]:
        """(scale, offset), (num_features,) float64: evaluation is x * scale + offset in real arithmetic.

        scale = AP2(γ) AP2(running_inv_std) is a power of two, or 0 where γ is.
        """
        with torch.no_grad():
            scale = ap2(self.weight.double(), self.rounding) * ap2(self.running_inv_std.double(), self.rounding)
            return scale, self.bias.double() - self.running_mean.double() * scale

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in self.ndims or x.shape[1] != self.num_features:
            raise InputError(
                f"{type(self).__name__}({self.num_features}) got an input of shape {tuple(x.shape)}; it takes "
                f"{' or '.join(str(n) for n in self.ndims)} dimensions, (n, {self.num_features}, ...)."
            )
        real = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        if not self.training:
            shape = (1, -1, *(1,) * (x.ndim - 2))
            centred = real - self.running_mean.view(shape)
            shift = ap2(self.running_inv_std, self.rounding).view(shape)
            return (ap2(self.weight, self.rounding).view(shape) * (centred * shift) + self.bias.view(shape)).to(x.dtype)
        if x.numel() == self.num_features:
            raise InputError(
                f"{type(self).__name__} got one value per channel, of shape {tuple(x.shape)}: it has no deviation. "
                "Train with a larger batch, or call .eval() first."
            )
        y, mean, inv_std = _Normalise.apply(real, self.weight, self.bias, self.eps, self.rounding)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_inv_std.lerp_(inv_std, self.momentum)
        result: Tensor = y.to(x.dtype)
        return result

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps:g}, momentum={self.momentum:g}, rounding={self.rounding!r}"


class ShiftBatchNorm1d(_ShiftBatchNorm):
    """Shift-based normalisation of x (n, num_features) or (n, num_features, length).

    `eps` is added to the mean square, `momentum` is the weight of the new batch (2^-3, as in the Torch7 code),
    `rounding` that of `ap2`. `InputError` for another shape, and in training for one value per channel.
    """

    ndims = (2, 3)


class ShiftBatchNorm2d(_ShiftBatchNorm):
    """Shift-based normalisation of x (n, num_features, height, width) over n, height and width.

    Arguments and errors as in `ShiftBatchNorm1d`.
    """

    ndims = (4,)
