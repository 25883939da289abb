"""Noise that regularizes training and is not there at evaluation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from binarynet.errors import InputError


class GaussianNoise(nn.Module):
    """Adds an independent draw of N(0, std²) to every value while training; in evaluation x passes as it is.

    `std`, in units of x, may be set between steps, such as by a schedule that lets the noise die out; it is no part of
    the state. Gradient: 1. `InputError` for a std that is negative or not finite.

    Reference: K. Matsuoka, "Noise injection into inputs in back-propagation learning", 1992.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    @property
    def std(self) -> float:
        return self._std

    @std.setter
    def std(self, value: float) -> None:
        if not 0 <= value < float("inf"):
            raise InputError(f"GaussianNoise: std={value}; needs a finite number, 0 or more.")
        self._std = value

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training and self.std > 0 else x

    def extra_repr(self) -> str:
        return f"std={self.std:g}"
