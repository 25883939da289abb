"""The products of binary layers in training.

**Forwards** they are exact. A quantizer makes small integers times a scale, and most inputs are such: ±1, bytes, k-bit
codes, also behind dropout or a pool. Their dot products are integers. ±1 times ±1 is multiplied by xor and popcount,
anything else as bytes.

Whether a tensor holds integers is read off its values (native/training/codes.h), never off the type of the layer that
made it. So every quantizer is served, the stochastic ones too, and every layer between it and the product.

**Backwards** the gradient is real. `native.gradients` says how it is multiplied: as float32, as bfloat16, or rounded at
random to a byte or to fewer bits (native/training/multiply.h). Of an operand that was ±1 only the bits are kept for it.

Torch multiplies in float32 whatever does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from binarynet.nn import native
from binarynet.nn.fused import matrix_unit, record
from binarynet.nn.fused.packed_input import Input, Unpacked, Window, geometry_of, room_for_signs
from binarynet.nn.fused.packed_product import output_sizes, product
from binarynet.nn.quantizers import Quantizer

# Below so many channels a filter, or filters a group, most of a vector multiplies nothing.
FEWEST = 8
ONE_BY_ONE: Window = (1, 1), (0, 0), (1, 1)
# Sums of bytes times bytes stay below 2^31 up to this depth.
DEEPEST = 60_000


def linear(
    x: Tensor, weight: Tensor, quantizer: Quantizer | None, bias: Tensor | None, operand: Input | None = None
) -> Tensor:
    """x (..., in) @ quantizer(weight).T + bias, weight (out, in) latent; `None` leaves the weight as it is.

    `operand`: the numbers, if x is a stand-in for them (`room_before`).
    """
    products = x.numel() * weight.shape[0]
    why = _refusal(None if operand is not None else x, weight, quantizer, 1, products)
    if not why and operand is None and (x.shape[-1] != weight.shape[1] or not x.is_contiguous()):
        why = "its input does not lie in rows"
    latent = _plain_sign(quantizer)
    values = weight if quantizer is None or latent is not None else quantizer(weight)
    y: Tensor | None = None
    if not why:
        if native.has_matrix_unit() and latent is not None:
            y = matrix_unit.linear(x, weight, latent, operand)
        if y is None:
            rows = x.reshape(-1, x.shape[-1], 1, 1)
            found = product(rows, values.view(*values.shape, 1, 1), latent, ONE_BY_ONE, 1, operand)
            if isinstance(found, str):
                why = found
            else:
                y = found.view(*x.shape[:-1], weight.shape[0])
    if y is None:
        if operand is not None:
            x = Unpacked.apply(x, operand)  # type: ignore[no-untyped-call]
        return _by_torch(lambda: F.linear(x, values if latent is None else latent(weight), bias), why, products)
    return y if bias is None else y + bias


def convolution(
    x: Tensor,
    weight: Tensor,
    quantizer: Quantizer | None,
    bias: Tensor | None,
    window: Window,
    groups: int,
    operand: Input | None = None,
    pooled: bool = False,
) -> Tensor:
    """`torch.nn.functional.conv1d` or `conv2d` of x (n, c, ..) or (c, ..) with quantizer(weight); `operand` too.

    `pooled`: and the largest of each 2 × 2 of that, where `pools_too`.
    """
    sides = weight.ndim - 2
    places = output_sizes(x.shape[-sides:], weight.shape[2:], window)
    products = (x.shape[0] if x.ndim == sides + 2 else 1) * prod(places) * weight.numel()
    why = _refusal(None if operand is not None else x, weight, quantizer, groups, products)
    if not why and (x.ndim != sides + 2 or x.shape[1] != weight.shape[1] * groups or min(places) <= 0):
        why = "its input is no batch of images"
    latent = _plain_sign(quantizer)
    values = weight if quantizer is None or latent is not None else quantizer(weight)
    y: Tensor | None = None
    if not why:
        last, wide, filters = x, window, values
        if sides == 1:  # an image of one row
            last, filters = x.unsqueeze(2), values.unsqueeze(2)
            stride, padding, dilation = window
            wide = (1, *stride), (0, *padding), (1, *dilation)
        if operand is None:
            last = last.contiguous(memory_format=torch.channels_last)
        if latent is not None and _suits_matrix_unit(weight, window, groups):
            y = matrix_unit.conv2d(last, weight, latent, operand, pooled)
            if y is not None and pooled:
                return y
        if y is None:
            found = product(last, filters, latent, wide, groups, operand)
            if isinstance(found, str):
                why = found
            else:
                y = found if sides == 2 else found.squeeze(2)
    if y is None:
        if operand is not None:
            x = Unpacked.apply(x, operand)  # type: ignore[no-untyped-call]
        rule: Any = F.conv2d if sides == 2 else F.conv1d
        if sides == 2 and x.ndim == 4 and torch.is_grad_enabled() and native.takes(x, weight):
            x = x.contiguous(memory_format=torch.channels_last)  # as all that is native takes and gives images
        y = _by_torch(
            lambda: rule(x, values if latent is None else latent(weight), bias, *window, groups), why, products
        )
    elif bias is not None:
        y = y + bias.view(-1, *(1,) * sides)
    return F.max_pool2d(y, 2) if pooled else y


def pools_too(shape: torch.Size, weight: Tensor, window: Window) -> bool:
    """Whether the product of signs (n, c, h, w) is one that takes a pool of 2 × 2 along, and it is worth it."""
    images, _, height, width = shape
    return (
        _suits_matrix_unit(weight, window, 1)
        and height % 2 == width % 2 == 0
        and images * weight.shape[0] * height * width >= native.ELEMENTS
    )


def _suits_matrix_unit(weight: Tensor, window: Window, groups: int) -> bool:
    stride, padding, dilation = window
    return (
        native.has_matrix_unit()
        and weight.ndim == 4
        and groups == 1
        and (*stride, *dilation) == (1, 1, 1, 1)
        and all(size == 2 * before + 1 for size, before in zip(weight.shape[2:], padding, strict=True))
    )


def room_before(shape: torch.Size, weight: Tensor, quantizer: Quantizer | None, window: Window) -> Input | None:
    """Where a sign before a product may write its answer (n, c) or (n, c, h, w) as bits, and nothing else.

    None: the product does not read bits. (Of few channels the matrix unit gathers numbers.)
    """
    if weight.ndim != len(shape) or shape[1] != weight.shape[1]:
        return None
    places = output_sizes(shape[2:], weight.shape[2:], window) if len(shape) == 4 else [1]
    products = shape[0] * prod(places) * weight.numel()
    if min(places) <= 0:
        return None
    if _plain_sign(quantizer) is None or _refusal(None, weight, quantizer, 1, products):
        return None
    if len(shape) == 2:
        geometry = geometry_of((*shape, 1, 1), (*weight.shape, 1, 1), ONE_BY_ONE, 1)
    else:
        if _suits_matrix_unit(weight, window, 1) and not matrix_unit.takes_signs(shape, weight.shape):
            return None
        geometry = geometry_of(shape, weight.shape, window, 1)
    return room_for_signs(geometry, shape if len(shape) == 4 else torch.Size((*shape, 1, 1)))


def _plain_sign(quantizer: Quantizer | None) -> Quantizer | None:
    """The quantizer if its signs may be read off the latent weights: nobody listens to its calls, or has replaced
    them."""
    plain = quantizer is not None and quantizer.is_plain_sign and record.as_typed(quantizer)
    return quantizer if plain else None


def _refusal(x: Tensor | None, weight: Tensor, quantizer: Quantizer | None, groups: int, products: int) -> str:
    """Why a layer is left to torch before its numbers are looked at; "" if it is not."""
    if quantizer is None:
        return "its weights are real"
    if not native.takes(weight, *(() if x is None else (x,))):
        return "not plain float32 on this CPU, or native steps are off"
    if not weight.is_contiguous():
        return "its weights do not lie in rows"
    if not native.multiplies(products):
        return f"too small to pay: {products:,} products"
    filters, channels = weight.shape[0] // groups, weight.shape[1]
    if groups > 1 and min(filters, channels) < FEWEST:
        return f"groups of {channels} channels and {filters} filters fill no vector"
    if max(filters, channels) * weight[0, 0].numel() > DEEPEST:
        return f"deeper than {DEEPEST:,}"
    return ""


def _by_torch(rule: Callable[[], Tensor], why: str, products: int) -> Tensor:
    if not record.on():
        return rule()
    with record.timed(record.layer(), "forward", f"torch float32: {why}", products):
        return rule()
