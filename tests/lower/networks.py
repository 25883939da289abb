"""Networks that people call binary, by their papers, written with our layers: blocks of the real width's shape, narrow,
for images of 32 × 32 or less. `NETWORKS` maps each name to its module, image and whether it holds real products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput, LearnableShift, RPReLU, SqueezeExcite, SteSign
from binarynet.nn.channelwise import ChannelScale
from binarynet.nn.quantizers import DorefaActivation, DorefaWeight, LinearQuant, MagnitudeAwareSign, ScaledSign


def conv(inside: int, out: int, kernel: int = 3, stride: int = 1, **more: object) -> BinaryConv2d:
    return BinaryConv2d(inside, out, kernel, stride, padding=kernel // 2, bias=False, **more)


class RSignConv(nn.Module):
    """ReActNet: shift, sign, product with scales, norm."""

    def __init__(self, inside: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            LearnableShift(inside),
            conv(inside, out, kernel, stride, input_quantizer="approx_sign", weight_quantizer=ScaledSign()),
            nn.BatchNorm2d(out),
        )
        nn.init.uniform_(self.layers[0].shift, -1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def rprelu(channels: int) -> RPReLU:
    layer = RPReLU(channels)
    for numbers in (layer.knee, layer.lift, layer.slope):
        nn.init.uniform_(numbers, -0.5, 0.5)
    return layer


class ReActBasic(nn.Module):
    """ReActNet-18's block: half of a residual block of ResNet-18."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.product, self.act = RSignConv(inside, out, 3, stride), rprelu(out)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inside, out, 1, bias=False), nn.BatchNorm2d(out))
        self.changes = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.product(x) + (self.shortcut(x) if self.changes else x))


class ReActMobile(nn.Module):
    """ReActNet's MobileNet block: 3 × 3, then 1 × 1, twice side by side where the channels double."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.depth, self.act1 = RSignConv(inside, inside, 3, stride), rprelu(inside)
        self.points = nn.ModuleList(RSignConv(inside, inside, 1) for _ in range(out // inside))
        self.act2, self.stride = rprelu(out), stride

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.depth(x) + (F.avg_pool2d(x, 2) if self.stride > 1 else x))
        return self.act2(torch.cat([point(x) + x for point in self.points], 1))


class RealToBinary(nn.Module):
    """A sign's product, gated by the real input; PReLU; shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), conv(channels, channels, input_quantizer="ste_sign")
        self.gate, self.act = SqueezeExcite(channels, reduction=4), nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.act(self.gate(y, self.conv(y)))


class BNext(nn.Module):
    """BNext's Info-Recoupling block: a product between two RPReLUs, times a gate of the block's input and output."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.product, self.act = RSignConv(channels, channels), rprelu(channels)
        self.gate, self.norm = SqueezeExcite(channels, reduction=4, squash="hardsigmoid"), nn.BatchNorm2d(channels)
        self.feed = RSignConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.product(x))
        y = self.norm(self.gate(y + x, y)) + x
        return self.act(self.feed(y)) + y


class Dense(nn.Module):
    """BinaryDenseNet: norm, sign, product, and all channels so far beside it."""

    def __init__(self, inside: int, growth: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inside)
        self.conv = BinaryConv2d(
            inside, growth, 3, padding=dilation, dilation=dilation, bias=False, input_quantizer="ste_sign"
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.norm(x))], 1)


class Melius(nn.Module):
    """MeliusNet: a dense block, then a product that improves the channels that were added."""

    def __init__(self, inside: int, growth: int) -> None:
        super().__init__()
        self.dense, self.growth = Dense(inside, growth), growth
        self.norm = nn.BatchNorm2d(inside + growth)
        self.conv = conv(inside + growth, growth, input_quantizer="ste_sign")

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(x)
        better = x[:, -self.growth :] + self.conv(self.norm(x))
        return torch.cat([x[:, : -self.growth], better], 1)


class Quick(nn.Module):
    """QuickNet: sign, product, ReLU, norm, shortcut; a blurred pool and a float 1 × 1 between sections."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.conv, self.norm = conv(inside, inside, input_quantizer="ste_sign"), nn.BatchNorm2d(inside)
        self.blur = nn.Conv2d(inside, inside, 3, 2, 1, groups=inside, bias=False)
        self.point, self.last = nn.Conv2d(inside, out, 1, bias=False), nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.norm(self.conv(x).relu())
        return self.last(self.point(self.blur(F.max_pool2d(x.relu(), 3, 1, 1))))


class BiReal(nn.Module):
    """Bi-Real Net: sign, product with the mean magnitude of the layer, norm; the real value added around it."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv(inside, out, 3, stride, input_quantizer="approx_sign", weight_quantizer=MagnitudeAwareSign())
        self.norm, self.changes = nn.BatchNorm2d(out), stride > 1
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inside, out, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + (self.shortcut(x) if self.changes else x)


class AdaBin(nn.Module):
    """AdaBin's ResNet-20 block: pairs around learnt centres, Maxout (PReLU and scale), option-A shortcuts."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__()
        pairs = {"weight_quantizer": "adabin_weight", "input_quantizer": "adabin_activation"}
        self.conv1, self.conv2 = conv(inside, out, 3, stride, **pairs), conv(out, out, **pairs)
        self.norm1, self.norm2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.maxout1, self.maxout2 = (nn.Sequential(nn.PReLU(out), ChannelScale(out)) for _ in range(2))
        self.stride, self.more = stride, (out - inside) // 2
        for one in (self.conv1, self.conv2):
            nn.init.uniform_(one.input_quantizer.alpha, 0.4, 0.9)
            nn.init.uniform_(one.input_quantizer.beta, -0.3, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        y = self.maxout1(self.norm1(self.conv1(x)) + y)
        return self.maxout2(self.norm2(self.conv2(y)) + y)


class Heads(nn.Module):
    """A class for the image and one for each pixel: two answers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(bytes_in(channels), conv(channels, channels, input_quantizer="ste_sign"))
        self.norm, self.pool = nn.BatchNorm2d(channels), nn.AvgPool2d(16)
        self.whole = BinaryLinear(channels, 10, input_quantizer="ste_sign")
        self.each = conv(channels, 3, 1, input_quantizer="ste_sign")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.norm(self.trunk(x))
        return {"logits": self.whole(self.pool(y).flatten(1)), "pixels": self.each(y)}


class OptionA(nn.Module):
    """IR-Net's ResNet-20 block: Hardtanh, and a shortcut that takes every second pixel and pads channels with 0."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(inside, out, 3, stride, input_quantizer="ede_sign", weight_quantizer=ScaledSign())
        self.conv2 = conv(out, out, input_quantizer="ede_sign", weight_quantizer=ScaledSign())
        self.norm1, self.norm2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.stride, self.more = stride, (out - inside) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        y = F.hardtanh(self.norm1(self.conv1(x)) + y)
        return F.hardtanh(self.norm2(self.conv2(y)) + y)


def xnor(inside: int, out: int, kernel: int, **more: int) -> nn.Sequential:
    """XNOR-Net's block in its later order: norm, sign, product, ReLU."""
    return nn.Sequential(
        nn.BatchNorm2d(inside),
        BinaryConv2d(inside, out, kernel, bias=True, input_quantizer="ste_sign", weight_quantizer=ScaledSign(), **more),
        nn.ReLU(),
    )


def stem(out: int, *more: nn.Module, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    first = nn.Conv2d(3, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(ByteInput(1 / 255), first, nn.BatchNorm2d(out), *more)


def head(channels: int, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def bytes_in(out: int) -> nn.Sequential:
    """A first layer without float32: eight digits ±1 times ±1."""
    return nn.Sequential(ByteInput(), conv(3, out), nn.BatchNorm2d(out))


def dorefa(inside: int, out: int, kernel: int = 3, **more: int) -> nn.Sequential:
    return nn.Sequential(
        BinaryConv2d(
            inside,
            out,
            kernel,
            padding=kernel // 2,
            bias=False,
            input_quantizer=DorefaActivation(2),
            weight_quantizer=DorefaWeight(1),
            **more,
        ),
        nn.BatchNorm2d(out),
    )


def sequence(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


@dataclass(frozen=True)
class Network:
    make: Callable[[], nn.Module]
    real: bool = True
    size: int = 16


NETWORKS: dict[str, Network] = {
    "ReActNet-18": Network(lambda: nn.Sequential(stem(8), ReActBasic(8, 8), ReActBasic(8, 16, 2), head(16))),
    "ReActNet-MobileNet": Network(lambda: nn.Sequential(stem(8), ReActMobile(8, 16, 2), ReActMobile(16, 16), head(16))),
    "ReActNet without float32 products": Network(
        lambda: nn.Sequential(
            bytes_in(8),
            ReActMobile(8, 16, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            BinaryLinear(16, 10, input_quantizer="ste_sign"),
        ),
        real=False,
    ),
    "Bi-Real Net": Network(lambda: nn.Sequential(stem(8), BiReal(8, 8), BiReal(8, 16, 2), head(16))),
    "AdaBin ResNet-20": Network(lambda: nn.Sequential(stem(8, nn.PReLU(8)), AdaBin(8, 8), AdaBin(8, 16, 2), head(16))),
    "AdaBin without float32 products": Network(
        lambda: nn.Sequential(
            bytes_in(8),
            AdaBin(8, 8),
            AdaBin(8, 16, 2),
            nn.AvgPool2d(8),
            nn.Flatten(),
            BinaryLinear(16, 10, input_quantizer="ste_sign"),
        ),
        real=False,
    ),
    "Real-to-Binary": Network(lambda: nn.Sequential(stem(8), RealToBinary(8), RealToBinary(8), head(8))),
    "BNext": Network(lambda: nn.Sequential(stem(8), BNext(8), head(8))),
    "MeliusNet": Network(lambda: nn.Sequential(stem(8), Melius(8, 4), Melius(12, 4), head(16))),
    "BinaryDenseNet": Network(
        lambda: nn.Sequential(
            stem(8, nn.MaxPool2d(3, 2, 1)),
            Dense(8, 4),
            Dense(12, 4, 2),
            nn.BatchNorm2d(16),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 8, 1, bias=False),
            Dense(8, 4),
            head(12),
        )
    ),
    "QuickNet": Network(lambda: nn.Sequential(stem(8, kernel=3, stride=2), Quick(8, 16), Quick(16, 8), head(8))),
    "IR-Net ResNet-20, option A": Network(
        lambda: nn.Sequential(stem(8, nn.Hardtanh()), OptionA(8, 8), OptionA(8, 16, 2), head(16))
    ),
    "ReCU's scales": Network(
        lambda: nn.Sequential(
            bytes_in(8),
            conv(8, 8, input_quantizer="ste_sign"),
            ChannelScale(8),
            nn.BatchNorm2d(8),
            nn.Hardtanh(),
            nn.AvgPool2d(8),
            nn.Flatten(),
            BinaryLinear(32, 10, input_quantizer="ste_sign"),
        ),
        real=False,
    ),
    "XNOR-Net AlexNet": Network(
        lambda: nn.Sequential(
            stem(8, nn.ReLU(), nn.MaxPool2d(3, 2)),
            xnor(8, 16, 5, padding=2),
            nn.MaxPool2d(3, 2),
            xnor(16, 16, 3, padding=1),
            xnor(16, 8, 3, padding=1),
            nn.Flatten(),
            nn.BatchNorm1d(72),
            BinaryLinear(72, 32, input_quantizer="ste_sign", weight_quantizer=ScaledSign()),
            nn.ReLU(),
            nn.BatchNorm1d(32),
            nn.Linear(32, 10),
        )
    ),
    "XNOR-Net NIN": Network(
        lambda: nn.Sequential(
            stem(12, nn.ReLU(), kernel=5),
            xnor(12, 10, 1),
            xnor(10, 6, 1),
            nn.MaxPool2d(3, 2, 1),
            xnor(6, 12, 5, padding=2),
            xnor(12, 12, 1),
            nn.AvgPool2d(3, 2, 1),
            xnor(12, 12, 3, padding=1),
            nn.BatchNorm2d(12),
            nn.Conv2d(12, 10, 1),
            nn.ReLU(),
            nn.AvgPool2d(4, 1),
            nn.Flatten(),
        )
    ),
    "DoReFa AlexNet": Network(
        lambda: nn.Sequential(
            stem(8),
            dorefa(8, 12, 5, groups=2),
            nn.MaxPool2d(3, 2, 1),
            dorefa(12, 12),
            dorefa(12, 8, groups=2),
            nn.MaxPool2d(2),
            nn.Flatten(),
            BinaryLinear(128, 24, False, input_quantizer=DorefaActivation(2), weight_quantizer=DorefaWeight(1)),
            nn.BatchNorm1d(24),
            DorefaActivation(2),
            nn.Linear(24, 10),
        )
    ),
    "QNN AlexNet": Network(
        lambda: nn.Sequential(
            bytes_in(8),
            conv(8, 12, 5, input_quantizer=LinearQuant(2)),
            nn.MaxPool2d(3, 2, 1),
            nn.BatchNorm2d(12),
            conv(12, 12, input_quantizer=LinearQuant(2)),
            nn.BatchNorm2d(12),
            conv(12, 8, input_quantizer=LinearQuant(2)),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(8),
            nn.Flatten(),
            BinaryLinear(128, 24, False, input_quantizer=LinearQuant(2)),
            nn.BatchNorm1d(24),
            BinaryLinear(24, 10, input_quantizer=LinearQuant(2)),
        ),
        real=False,
    ),
    "two answers": Network(lambda: Heads(8), real=False),
    "8-bit ends": Network(
        lambda: nn.Sequential(
            ByteInput(),
            conv(3, 8, weight_quantizer=DorefaWeight(7)),
            nn.BatchNorm2d(8),
            conv(8, 8, input_quantizer="ste_sign"),
            nn.BatchNorm2d(8),
            nn.AvgPool2d(8),
            nn.Flatten(),
            BinaryLinear(32, 10, input_quantizer=DorefaActivation(8), weight_quantizer=DorefaWeight(7)),
        ),
        real=False,
    ),
    "an autoencoder": Network(
        lambda: nn.Sequential(
            bytes_in(8),
            conv(8, 16, 3, 2, input_quantizer="ste_sign"),
            nn.BatchNorm2d(16),
            nn.Upsample(scale_factor=2),
            conv(16, 12, input_quantizer="ste_sign"),
            nn.BatchNorm2d(12),
            nn.PixelShuffle(2),
            SteSign(),
            conv(3, 3),
        ),
        real=False,
        size=8,
    ),
}
