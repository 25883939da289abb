"""Neurons of few inputs: connections that are drawn once and stay, and pixels as thermometers of bits.

No paper's layer; its neighbours map each neuron of few inputs to a table of an FPGA: LogicNets (Umuroglu, Akhauri,
Fraser, Blott, arXiv 2004.03021), PolyLUT (Andronic, Constantinides, arXiv 2309.02334), NeuraLUT (arXiv 2403.00849);
or learn two-input gates: difflogic (Petersen et al., arXiv 2210.08277). Here a neuron stays a sum of ±1 and a bound.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn.quantizers import Quantizer, SteSign
from binarynet.nn.quantizers.quantizer import sign


def draw(filters: int, channels: int, reads: int, block: int = 1) -> Tensor:
    """Which of ``channels`` each of ``filters`` reads: (filters, channels) bool, ``reads`` of them true in each row.

    ``block`` neighbouring filters read the same ones, so that whoever adds up may count them together. The rows deal
    out a shuffled pack of all channels, and shuffle anew when it is used up, so that every channel is read about as
    often as any other. Draws come from torch's global generator. `InputError` for numbers below 1.
    """
    if min(filters, channels, reads, block) < 1:
        raise InputError(f"draw: filters={filters}, channels={channels}, reads={reads}, block={block}; 1 or more each")
    reads = min(reads, channels)
    mask = torch.zeros(filters, channels, dtype=torch.bool)
    pack: list[int] = []
    for first in range(0, filters, block):
        if len(pack) < reads:
            rest = set(pack)  # what is left of the old pack is dealt first
            pack += [channel for channel in torch.randperm(channels).tolist() if channel not in rest]
        mask[first : first + block, pack[:reads]] = True
        pack = pack[reads:]
    return mask


def draw_near(filters: int, shape: tuple[int, int, int], reads: int, field: int, block: int = 1) -> Tensor:
    """As `draw`, of the flat numbers of an image ``shape`` (channels, height, width): (filters, c h w) bool. Each block
    of filters reads ``reads`` of them within a square of ``field`` pixels, which lies anywhere on the image.
    """
    channels, height, width = shape
    near = torch.zeros(filters, channels, height, width, dtype=torch.bool)
    for first in range(0, filters, block):
        high, wide = min(field, height), min(field, width)
        top, left = (int(torch.randint(side - size + 1, ())) for side, size in ((height, high), (width, wide)))
        mine = draw(1, channels * high * wide, reads).view(channels, high, wide)
        near[first : first + block, :, top : top + high, left : left + wide] = mine
    return near.flatten(1)


class FixedConnections(Quantizer):
    """Sign of the weights that are connected, 0 for the others.

    Forward: q(W) = sign(W) where `mask`, else 0. Gradient: 1 where `mask`, else 0: it belongs behind an optimizer that
    clips latent weights to [-1, 1], whose window is always open.

    mask: (out, in, ...) of 1 and 0, which spreads over a weight with more dimensions (out, in, height, width). It is a
    buffer: checkpoints hold it. Stored as `t2`.
    """

    name = "fixed_connections"
    bits = 2
    encoding = "t2"
    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float())

    def _spread(self, x: Tensor) -> Tensor:
        return self.mask.view(*self.mask.shape, *(1,) * (x.ndim - self.mask.ndim)).to(x.dtype)

    def value(self, x: Tensor) -> Tensor:
        return sign(x) * self._spread(x)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return self._spread(x).expand_as(x).clone()

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient * self._spread(gradient)

    def extra_repr(self) -> str:
        return f"{int(self.mask[0].sum())} of {self.mask.shape[1]}"


class Thermometer(nn.Module):
    """Each pixel as ``levels`` bits: bit k is +1 where the byte is at least 256 (k + 1) / (levels + 1), rounded.

    It reads what `ByteInput()` makes, 2 byte - 255. Shapes: (n, c, h, w) -> (n, c * levels, h, w), the levels of one
    channel next to each other. `InputError` for levels outside 1..255.
    """

    ones: Tensor
    bias: Tensor

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        if levels not in range(1, 256):
            raise InputError(f"Thermometer: levels={levels!r}; it takes 1 to 255.")
        self.levels = levels
        bytes_ = torch.tensor([round(256 * (k + 1) / (levels + 1)) for k in range(levels)])
        self.register_buffer("ones", torch.ones(channels * levels, 1, 1, 1), persistent=False)
        self.register_buffer("bias", (255.0 - 2.0 * bytes_).repeat(channels), persistent=False)
        self.channels = channels
        self.sign = SteSign()

    def forward(self, x: Tensor) -> Tensor:
        bits: Tensor = self.sign(F.conv2d(x, self.ones, self.bias, groups=self.channels))
        return bits

    def extra_repr(self) -> str:
        return f"levels={self.levels}"
