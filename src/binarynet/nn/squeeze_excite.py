"""Squeeze-and-excitation: each channel times a number that the whole image decides."""

from __future__ import annotations

from torch import Tensor, nn

from binarynet.errors import InputError

SQUASHES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "hardsigmoid": nn.Hardsigmoid, "tanh": nn.Tanh}


class SqueezeExcite(nn.Module):
    """y · squash(W₂ relu(W₁ mean(x))) with x of shape (n, channels, height, width); y is x, or what is given as second.

    The two products are float32 and small: channels² / reduction each for a whole image. So a network with this
    layer lowers with ``allow_real=True``. Real-to-Binary gates what a binary convolution makes (y) by its real input
    (x): ``gate(x, conv(sign(x)))``.

    Args:
        channels: of x; ``out_channels``: of y, if they are others.
        reduction: channels over those between the two products.
        squash: ``"sigmoid"``, ``"hardsigmoid"`` or ``"tanh"``.

    `InputError` for an unknown squash, and a reduction that leaves no channel.

    References: Hu, Shen, Albanie, Sun, Wu, arXiv 1709.01507; Martinez, Yang, Bulat, Tzimiropoulos, "Training binary
    neural networks with real-to-binary convolutions", arXiv 2003.11535.
    """

    def __init__(
        self, channels: int, out_channels: int | None = None, reduction: int = 8, squash: str = "sigmoid"
    ) -> None:
        super().__init__()
        if squash not in SQUASHES:
            raise InputError(f"SqueezeExcite: squash={squash!r}; known: {', '.join(SQUASHES)}.")
        if not 1 <= reduction <= channels:
            raise InputError(f"SqueezeExcite: reduction={reduction}; needs 1 to {channels}, its channels.")
        inside = channels // reduction
        self.squeeze = nn.Linear(channels, inside)
        self.excite = nn.Linear(inside, out_channels or channels)
        self.squash = SQUASHES[squash]()

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        gate: Tensor = self.squash(self.excite(self.squeeze(x.mean((2, 3))).relu()))
        return (x if y is None else y) * gate[:, :, None, None]
