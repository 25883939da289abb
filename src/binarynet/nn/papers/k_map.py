"""XNOR-Net's K: the outputs of a binary layer times the mean magnitude of the inputs that each has seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn.conv import BinaryConv2d
from binarynet.nn.linear import BinaryLinear


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
