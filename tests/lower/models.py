"""Torch models with realistic, tie-heavy norms, that tests of several packages share."""

from __future__ import annotations

import torch
from torch import nn

from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput, GaussianNoise, SteSign


def settle(model: nn.Module, seed: int = 0, spread: int = 12) -> nn.Module:
    """Give every BatchNorm statistics such as training leaves, and provoke the edges: whole-number means with β = 0
    (ties at exactly 0), γ < 0, γ = 0. Returns the model in eval mode."""
    rng = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            size = (module.num_features,)
            module.running_mean.copy_(torch.randint(-spread, spread + 1, size, generator=rng))
            module.running_var.copy_(torch.rand(size, generator=rng) * spread**2 + 0.1)
            if module.weight is not None:
                with torch.no_grad():
                    module.weight.copy_(torch.randn(size, generator=rng))
                    module.bias.copy_(torch.randn(size, generator=rng))
                    module.bias[::2] = 0
                    module.weight[:: max(1, len(module.weight) // 3)] *= -1
                    module.weight[-1] = 0
    return model.eval()


def images(shape: tuple[int, ...], n: int = 16, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *shape), generator=rng, dtype=torch.uint8)


def mlp(features: int = 30, hidden: int = 17, classes: int = 4) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        ByteInput(),
        BinaryLinear(features, hidden, bias=True),
        nn.BatchNorm1d(hidden),
        nn.Hardtanh(),
        SteSign(),
        nn.Dropout(0.5),
        GaussianNoise(0.5),
        BinaryLinear(hidden, classes, bias=False),
        nn.BatchNorm1d(classes),
    )


class Residual(nn.Module):
    """A Bi-Real-style block: sign – conv – norm, and the real value added around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sign = SteSign()
        self.conv = BinaryConv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(self.conv(self.sign(x)))


def bireal(channels: int = 5, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        ByteInput(),
        BinaryConv2d(3, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        Residual(channels),
        nn.PReLU(channels),
        Residual(channels),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(channels),
        SteSign(),
        BinaryConv2d(channels, channels, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(channels),
        BinaryLinear(channels, classes, input_quantizer="ste_sign", bias=False),
    )
