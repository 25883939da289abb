"""Layers with one number for each channel: what networks of ±1 learn around their signs and products.

They lower to constants of a threshold, a scale or a slope: a shift before a sign costs nothing at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError


class _Channelwise(nn.Module):
    """``channels`` numbers, for values (n, channels) or (n, channels, …)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(f"{type(self).__name__}: channels={channels}; needs 1 or more.")
        self.channels = channels

    def _beside(self, numbers: Tensor, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.channels:
            raise InputError(
                f"{type(self).__name__} got values of shape {tuple(x.shape)}; it takes (n, {self.channels}, …)."
            )
        return numbers.reshape(-1, *(1,) * (x.ndim - 2))

    def extra_repr(self) -> str:
        return str(self.channels)


class LearnableShift(_Channelwise):
    """x + shift. Before a sign it is RSign: sign(x + shift) moves each channel's threshold.

    Parameter: `shift` (channels,), 0 at first. `InputError` for values with another number of channels.

    Reference: Liu, Shen, Savvides, Cheng, "ReActNet", arXiv 2003.03488 (its RSign, with α = −shift).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self._beside(self.shift, x)


class ChannelScale(_Channelwise):
    """x · scale: the learnt scales behind a product of XNOR-Net++ and ReCU.

    Parameter: `scale` (channels,), 1 at first. `InputError` for values with another number of channels.

    Reference: Bulat, Tzimiropoulos, "XNOR-Net++", arXiv 1909.13863 (its case 1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self._beside(self.scale, x)


class RPReLU(_Channelwise):
    """PReLU(x − knee) + lift: a PReLU whose knee lies anywhere.

    Parameters: `knee`, `lift` (channels,), 0 at first, and `slope` (channels,), 0.25 at first, for x below the knee.
    `InputError` for values with another number of channels.

    Reference: Liu et al., "ReActNet", arXiv 2003.03488 (γ, ζ and β of its RPReLU).
    """

    def __init__(self, channels: int, slope: float = 0.25) -> None:
        super().__init__(channels)
        self.knee = nn.Parameter(torch.zeros(channels))
        self.slope = nn.Parameter(torch.full((channels,), float(slope)))
        self.lift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x - self._beside(self.knee, x), self.slope) + self._beside(self.lift, x)
