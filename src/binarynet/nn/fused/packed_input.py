"""The input of a product as what it holds: signs as bits, small integers as bytes, or real numbers as they are.

Of an input of ±1 only the bits are kept for the backward pass, of small integers the bytes: 32 or 4 times less than
float32. Where a sign stands right before a product (`sequential`), its bits are all that is ever stored: what autograd
passes on in its place is a *stand-in*, a tensor of the right shape that holds one NaN and no memory.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from binarynet.nn import native

Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # stride, padding, dilation


def geometry_of(shape: Any, weight_shape: Any, window: Window, groups: int) -> Any:
    """native/training/geometry.h: of x (n, c, h, w) and weights (f, c / groups, kh, kw)."""
    sides = zip(shape[2:], weight_shape[2:], *window, strict=True)
    return native.engine.Geometry(
        shape[0], shape[1], weight_shape[0], groups, *(native.engine.Side(*side) for side in sides)
    )


class Input:
    """native/training/codes.h: an input as bits, as bytes, or as it is."""

    def __init__(self, codes: Any, numbers: Tensor, geometry: Any, shape: torch.Size) -> None:
        self.codes, self.numbers, self.geometry, self.shape = codes, numbers, geometry, shape

    @property
    def form(self) -> Any:
        return self.codes.form

    def values(self) -> Tensor:
        """The input again, channels last."""
        if self.form == native.engine.Form.real:
            return self.numbers
        x = torch.empty(self.shape, memory_format=torch.channels_last)
        native.engine.unpack(self.geometry, self.codes, self.numbers.data_ptr(), x.data_ptr(), torch.get_num_threads())
        return x


def room_for_signs(geometry: Any, shape: torch.Size) -> Input:
    """An input of ±1 whose bits are still to be written."""
    codes = native.engine.Codes()
    codes.form = native.engine.Form.bits
    return Input(codes, torch.empty(native.engine.sign_words(geometry), dtype=torch.int32), geometry, shape)


def pack_signs(geometry: Any, x: Tensor) -> Input | None:
    """x (n, c, h, w) channels last as bits; None where it is not all ±1."""
    found, threads = room_for_signs(geometry, x.shape), torch.get_num_threads()
    addresses = x.data_ptr(), found.numbers.data_ptr()
    return found if native.engine.pack_ones(native.kernel(), geometry, *addresses, threads) else None


def pack(geometry: Any, x: Tensor) -> Input:
    """x (n, c, h, w) channels last as bits, as bytes, or as it is."""
    if (signs := pack_signs(geometry, x)) is not None:
        return signs
    engine, threads = native.engine, torch.get_num_threads()
    codes = engine.find_codes(x.data_ptr(), x.numel(), threads)
    if codes.form == engine.Form.real:
        return Input(codes, x, geometry, x.shape)
    numbers = torch.empty(codes.pieces * engine.code_bytes(geometry), dtype=torch.uint8)
    engine.pack_codes(geometry, codes, x.data_ptr(), numbers.data_ptr(), threads)
    return Input(codes, numbers, geometry, x.shape)


def keeping(x: Tensor, operand: Input) -> AbstractContextManager[None]:
    """Inside, autograd keeps `operand` in place of x, and makes x of it again if that is asked for."""

    address, shape = x.data_ptr(), x.shape  # not x: torch keeps the two functions, and what they hold

    def kept(saved: Tensor) -> Any:
        return operand if saved.data_ptr() == address and saved.shape == shape else saved

    def again(saved: Any) -> Tensor:
        values: Tensor = saved.values().view(shape) if isinstance(saved, Input) else saved
        return values

    return saved_tensors_hooks(kept, again)


def version(weight: Tensor) -> int:
    """How often the tensor was changed in place. Tensors of inference mode do not count that, nor have a backward
    pass."""
    return -1 if weight.is_inference() else weight._version


def check_unchanged(weight: Tensor, seen: int) -> None:
    """Torch's error for weights that are no longer those of the forward pass; hooks put it out of torch's sight."""
    if version(weight) != seen:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: the "
            f"weights {list(weight.shape)} of a binary layer, between its forward and its backward pass."
        )


class Unpacked(torch.autograd.Function):
    """The numbers that a stand-in stands for, for layers that read them after all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operand: Input) -> Tensor:
        return operand.values().view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None
