"""Networks with few multiplications: ternary weights drawn at random, and layer inputs as powers of two backwards.

Lin, Courbariaux, Memisevic, Bengio, "Neural Networks with Few Multiplications", ICLR 2016, arXiv 1510.03009.
Forwards and in the propagated error, products with weights ±W0 or 0 are changes of sign (`BinaryConnect`,
`TernaryConnect`, with `limit` = W0). What is left are the products in dL/dW = δᵀ x: there x is rounded to powers
of two, at random and without bias, so that they are shifts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from binarynet.errors import InputError
from binarynet.nn.ap2 import ap2
from binarynet.nn.conv import BinaryConv2d
from binarynet.nn.linear import BinaryLinear

Exponents = tuple[int, int]


def stochastic_power_of_two(x: Tensor, exponents: Exponents = (-4, 4)) -> Tensor:
    """x rounded at random to one of the two powers of two around it: E = x for |x| <= 2^high, and 0 -> 0.

    exponents: (low, high), both included. Between 2^low and 2^high, |x| in [2^k, 2^(k+1)] becomes the upper
    with probability |x| / 2^k - 1. Below 2^low it becomes 2^low with probability |x| / 2^low, else 0; above
    2^high it saturates. Same shape and dtype, no gradient; draws come from torch's global generator.

    Reference: Lin et al., arXiv 1510.03009, "Quantized back propagation". The reference code for convolutions
    has the same range, but gives 2^low to everything below it, and -2^low to 0.
    """
    low, high = exponents
    if not -126 <= low < high <= 127:
        raise InputError(f"exponents={exponents!r}; they are (low, high) with -126 <= low < high <= 127.")
    magnitude = x.detach().abs().clamp(max=2.0**high)
    inside = magnitude >= 2.0**low
    under = torch.where(inside, ap2(magnitude, "floor"), torch.zeros_like(magnitude))
    gap = under.clamp(min=2.0**low)  # to the power above, from 2^k as from 0
    up = torch.rand_like(magnitude, dtype=torch.float32) * gap < magnitude - under
    return torch.copysign(under + gap * up, x.detach())


class _Linear(torch.autograd.Function):
    """x @ wᵀ; backwards `rounded` stands for x in the gradient of w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rounded: Tensor) -> Tensor:
        ctx.save_for_backward(weight, rounded)
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None]:
        weight, rounded = ctx.saved_tensors
        g = grads[0].to(weight.dtype)
        to_x = g @ weight if ctx.needs_input_grad[0] else None
        return to_x, g.flatten(0, -2).T @ rounded.flatten(0, -2), None


class _Conv2d(torch.autograd.Function):
    """x ⋆ w; backwards `rounded` stands for x in the gradient of w. `window`: stride, padding, dilation, groups."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rounded: Tensor, window: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(weight, rounded)
        ctx.window = window
        return F.conv2d(x, weight, None, *window)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        weight, rounded = ctx.saved_tensors
        g = grads[0].to(weight.dtype)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = conv2d_input(list(rounded.shape), weight, g, *ctx.window)  # type: ignore[no-untyped-call]
        to_weight = conv2d_weight(rounded, list(weight.shape), g, *ctx.window)  # type: ignore[no-untyped-call]
        return to_x, to_weight, None, None


class FewMultiplicationsLinear(BinaryLinear):
    """`BinaryLinear` whose weight gradient is δᵀ x_q, x_q = `stochastic_power_of_two(x, exponents)`.

    Forward values, the error passed back, shapes and arguments are those of `BinaryLinear`; nothing changes in
    evaluation. `exponents` None leaves the gradient exact.
    """

    def __init__(self, *args: Any, exponents: Exponents | None = (-4, 4), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.exponents = exponents

    def forward(self, x: Tensor) -> Tensor:
        if self.exponents is None or not self.training:
            return super().forward(x)
        x = self._quantized_input(x)
        y: Tensor = _Linear.apply(x, self._quantized_weight(), stochastic_power_of_two(x, self.exponents))  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias


class FewMultiplicationsConv2d(BinaryConv2d):
    """`BinaryConv2d` whose weight gradient is taken with x_q = `stochastic_power_of_two(x, exponents)`.

    Takes batches (n, c, h, w) in training; otherwise as `FewMultiplicationsLinear`.
    """

    def __init__(self, *args: Any, exponents: Exponents | None = (-4, 4), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.exponents = exponents

    def forward(self, x: Tensor) -> Tensor:
        if self.exponents is None or not self.training:
            return super().forward(x)
        x, padding = self._padded(self._quantized_input(x))
        window = (self.stride, padding, self.dilation, self.groups)
        rounded = stochastic_power_of_two(x, self.exponents)
        y: Tensor = _Conv2d.apply(x, self._quantized_weight(), rounded, window)  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)
