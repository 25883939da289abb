"""AP2: the power of two that approximates a number, so that a product with it is a shift.

Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, "Shift-based Batch Normalization". Which
power is the right one differs between texts:

=========  ==========================  ==================  ==================================================
rounding   exponent                    rounds up from      where
=========  ==========================  ==================  ==================================================
nearest    round(log2|x|)              2^k sqrt(2)         the authors' Torch7 code; here the default
floor      floor(log2|x|)              never               hardware: the position of the most significant bit
=========  ==========================  ==================  ==================================================
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from binarynet.errors import InputError

Rounding = Literal["nearest", "floor"]

# The largest double below sqrt(1/2). No float of 16, 32 or 64 bits lies between it and the irrational number,
# and torch rounds it downwards for all of them, so `mantissa > _BELOW` is exact for each.
_BELOW = 0.7071067811865475


def ap2(x: Tensor, rounding: Rounding = "nearest") -> Tensor:
    """sign(x) 2^round(log2|x|) elementwise, or with floor(log2|x|); same shape and dtype, exact.

    0 -> 0, ±inf -> ±inf, NaN -> NaN; a result above the largest power of two of the dtype is inf, and subnormal
    float32 numbers become 0 or 2^-126. 2.5 -> 2, 2.83 -> 4, 3.14 -> 4 (floor: 2), 0.7 -> 0.5, 0.75 -> 1.
    Gradient: that of the identity (straight-through).

    `InputError` for a tensor that is not floating point, and for an unknown rounding.
    """
    if rounding not in ("nearest", "floor"):
        raise InputError(f"ap2: rounding={rounding!r}; choose 'nearest' (the reference code) or 'floor' (hardware).")
    if not x.is_floating_point():
        raise InputError(f"ap2 got a tensor of {x.dtype}; it takes floating point numbers.")
    result: Tensor = _Ap2.apply(x, rounding)  # type: ignore[no-untyped-call]
    return result


def _ap2_float32(x: Tensor, rounding: Rounding) -> Tensor:
    """The same on the bits, twenty times faster: optimizers round all weights in every step.

    Without its fraction, sign and exponent of a float are a power of two. Adding `carry` before makes the exponent
    one larger for the fractions that are above sqrt(2), from 0x3504F4 on; NaN is what would overflow.
    """
    carry = 0x800000 - 0x3504F4 if rounding == "nearest" else 0
    power = x.view(torch.int32).add(carry).bitwise_and_(-0x800000).view(torch.float32)
    return power.masked_fill_(x.isnan(), torch.nan)


class _Ap2(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, rounding: Rounding) -> Tensor:
        if x.dtype == torch.float32:
            return _ap2_float32(x, rounding)
        # |x| = mantissa 2^e with mantissa in [1/2, 1), and 0 and inf for x = 0 and inf, which the clamp removes.
        mantissa = torch.frexp(x).mantissa.abs_().clamp_(0.5, 1)
        # x over its own mantissa leaves the power of two and the sign, and a division that has an exact result
        # is exact; torch.exp2 and torch.pow do not promise that.
        divisor = 2 * mantissa
        if rounding == "nearest":
            divisor = torch.where(mantissa > _BELOW, mantissa, divisor)
        return x / divisor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Rounding], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None
