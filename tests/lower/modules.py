"""Random torch modules, as people write them: shortcuts, aliases, operations in place, hooks, subclasses, functions,
shared modules, parameters that are read directly. `make(seed)` is one of them, settled and in eval mode."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from binarynet.nn import BinaryConv2d, BinaryConvTranspose2d, BinaryLinear, ByteInput, Sequential, SteSign
from binarynet.nn.quantizers import AdaBinActivation, DorefaActivation, ScaledSign, TwnTernary
from tests.lower.models import settle

Layer = Callable[[Tensor], Tensor]


class ShiftedSign(SteSign):
    """A learned shift before the sign, in a forward of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.randint(-3, 4, (1, channels, 1, 1)).float())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.shift)


class ScaledConv(BinaryConv2d):
    """A scale for each filter behind the product, in a forward of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(2.0 ** torch.randint(-2, 3, (self.out_channels, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class ReflectConv(BinaryConv2d):
    """Another padding, in a forward of its own: no graph has it."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(self._quantized_input(x), (1, 1, 1, 1), mode="reflect"), self.binary_weight)


class DoubledNorm(nn.BatchNorm2d):
    """A subclass of a norm whose override matters."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Net(nn.Module):
    """Bytes – conv – norm – random steps – classes, written with modules and functions."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.draw = random.Random(seed)
        torch.manual_seed(seed)
        channels, self.size = self.draw.choice([3, 4, 6]), self.draw.choice([4, 6])
        self.image = self.draw.choice([1, 2, 3])
        self.channels = channels
        self.stem = nn.Sequential(
            ByteInput(), BinaryConv2d(self.image, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.parts = nn.ModuleList()
        self.plan: list[tuple[str, Any]] = []
        for _ in range(self.draw.randint(1, 5)):
            self.plan.append(self.draw.choice(STEPS)(self))
        self.last = self.draw.choice(ENDS)(self)

    def add(self, module: nn.Module) -> nn.Module:
        self.parts.append(module)
        return module

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for step in self.plan:
            x = step(x)
        return self.last(x)


def _conv(net: Net, kind: type[BinaryConv2d] = BinaryConv2d, **more: Any) -> nn.Module:
    more = {"padding": 1, "bias": False, "input_quantizer": "ste_sign", **more}
    return net.add(kind(net.channels, net.channels, 3, **more))


def _norm(net: Net, kind: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.Module:
    return net.add(kind(net.channels))


def plain(net: Net) -> Layer:
    weights = net.draw.choice(["ste_sign", "identity_sign", TwnTernary(), ScaledSign()])
    conv, norm = _conv(net, weight_quantizer=weights, pad_value=net.draw.choice([0, 1, -1])), _norm(net)
    return lambda x: norm(conv(x))


def residual(net: Net) -> Layer:
    conv, norm = _conv(net), _norm(net)
    alpha = net.draw.choice([1, 1, 0.25, -1, 2])
    way = net.draw.randrange(5)
    if way == 0:
        return lambda x: torch.add(x, norm(conv(x)), alpha=alpha)
    if way == 1:
        return lambda x: x.add(norm(conv(x)), alpha=alpha)
    if way == 2:
        return lambda x: x - norm(conv(x))
    if way == 3:
        return lambda x: norm(conv(x)) + x + x

    def in_place(x: Tensor) -> Tensor:
        other = x  # the same memory under another name
        x += norm(conv(x))
        return x + other

    return in_place


def clipped_in_place(net: Net) -> Layer:
    clip: Layer = net.draw.choice(
        [
            net.add(nn.Hardtanh(inplace=True)),
            net.add(nn.ReLU(inplace=True)),
            lambda x: F.relu(x, inplace=True),
            lambda x: x.clamp_(-2, 2),
            lambda x: F.hardtanh(x, -1.5, 1.5, inplace=True),
        ]
    )
    conv, norm, view = _conv(net), _norm(net), net.draw.random() < 0.3

    def step(x: Tensor) -> Tensor:
        kept = x.view(x.shape) if view else x
        changed = clip(x)
        return norm(conv(changed)) + kept  # kept has changed, too

    return step


def activation(net: Net) -> Layer:
    c = float(net.draw.choice([-2, 0.5, 3]))
    return net.draw.choice(
        [
            lambda x: F.leaky_relu(x, 0.25),
            net.add(nn.PReLU(net.channels)),
            net.add(nn.Hardtanh()),
            lambda x: x.clamp(-3, 3),
            lambda x: x.clamp(min=-1),
            lambda x: F.relu6(x) - 2,
            lambda x: x * c,
            lambda x: c - x,
            lambda x: x / c,
            lambda x: -x,
            torch.abs,
            lambda x: x.abs().sub(2),
            lambda x: x + x,
        ]
    )


def own_sign(net: Net) -> Layer:
    conv, norm = _conv(net, input_quantizer=None), _norm(net)
    sign: Layer = net.draw.choice(
        [
            net.add(ShiftedSign(net.channels)),
            torch.sign,
            lambda x: torch.where(x >= 0, 1.0, -1.0),
            lambda x: (x > 0).float() * 2 - 1,
            net.add(DorefaActivation(net.draw.choice([1, 2, 3]))),
            lambda x: torch.round(x.clamp(0, 1) * 3),
            lambda x: (torch.sign(x) - x).detach() + x,  # rounds: x + (sign(x) − x) is not always ±1
        ]
    )
    return lambda x: norm(conv(sign(x)))


def own_layer(net: Net) -> Layer:
    kind = net.draw.choice([ScaledConv, ScaledConv, ReflectConv])
    conv, norm = _conv(net, kind), _norm(net, net.draw.choice([nn.BatchNorm2d, DoubledNorm]))
    return lambda x: norm(conv(x))


def hooked(net: Net) -> Layer:
    conv, norm = _conv(net), _norm(net)
    way = net.draw.randrange(4)
    if way == 0:
        conv.register_forward_hook(lambda module, given, made: made * 2 - 3)
    if way == 1:
        conv.register_forward_pre_hook(lambda module, given: (given[0] - 1,))
    if way == 2:
        norm.register_forward_hook(lambda module, given, made: made.neg_())
    if way == 3:
        norm.register_forward_hook(lambda module, given, made: None)  # looks, and changes nothing
    return lambda x: norm(conv(x))


def parameter(net: Net) -> Layer:
    shift = nn.Parameter(
        torch.randint(-3, 4, net.draw.choice([(1, net.channels, 1, 1), (net.channels, 1, 1), ()])).float()
    )
    net.register_parameter(f"shift{len(net.plan)}", shift)
    other = torch.full((net.channels, 1, 1), 0.5)
    net.register_buffer(f"scale{len(net.plan)}", other)
    return net.draw.choice(
        [lambda x: x + shift, lambda x: x * other, lambda x: (x - shift) * other, lambda x: x - x.mean()]
    )


def shared(net: Net) -> Layer:
    conv, norm = _conv(net), _norm(net)
    return lambda x: norm(conv(norm(conv(x))))


def pooled(net: Net) -> Layer:
    ways: list[Layer] = [
        lambda x: F.max_pool2d(x, 3, 1, padding=1),
        net.add(nn.AvgPool2d(3, 1, padding=1)),
        lambda x: F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False),
        net.add(nn.ZeroPad2d(1)),
        lambda x: F.pad(x, (1, 1, 1, 1)),
        net.add(nn.Dropout()),
        lambda x: F.dropout(x, 0.5),
        lambda x: F.dropout(x, training=False),
        lambda x: x.clone().detach(),
        lambda x: x.transpose(2, 3),
        lambda x: x[:, :, :, :],
        lambda x: x.flip(3),
        lambda x: x.contiguous().to(torch.float32),
    ]
    conv, norm = _conv(net, padding=0 if net.draw.random() < 0.3 else 1), _norm(net)
    way = net.draw.choice(ways)
    return lambda x: norm(conv(way(x)))


def moved(net: Net) -> Layer:
    """Numbers that change places, and values that are joined or cut, brought back to the channels of the net."""
    c, half = net.channels, net.channels // 2
    order = torch.randperm(c)
    joined = net.add(BinaryConv2d(2 * c, c, 3, padding=1, bias=False, input_quantizer="ste_sign"))
    conv, norm = _conv(net), _norm(net)
    sign: Layer = net.draw.choice([net.add(SteSign()), lambda x: x])
    ways: list[Layer] = [
        lambda x: x[:, order],
        lambda x: x.flip(1),
        lambda x: torch.cat([x[:, half:], x[:, :half]], 1),
        lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
        lambda x: F.pad(x[:, 1:], (0, 0, 0, 0, 1, 0)),
        lambda x: F.pad(x[:, :, 1:, 1:], (1, 0, 0, 1)),
        lambda x: F.interpolate(x[:, :, ::2, ::2], scale_factor=2),
        lambda x: x.repeat(1, 1, 1, 2)[:, :, :, : x.shape[3]],
        lambda x: x.roll(1, 3) + x,
        lambda x: x[:, :1].expand_as(x) - x,
        lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 2:],
        lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2)[:, :, ::2, 1::2],
        lambda x: x.view(len(x), c, -1).flip(2).view(x.shape),
    ]
    way = net.draw.choice(ways)
    if net.draw.random() < 0.3:
        return lambda x: norm(joined(torch.cat([sign(x), way(sign(norm(x)))], 1)))
    return lambda x: norm(conv(way(sign(x))))


def gated(net: Net) -> Layer:
    norm = _norm(net)
    squash: Layer = net.draw.choice([torch.sigmoid, torch.tanh, F.hardsigmoid, F.relu6, lambda x: x])
    ways: list[Layer] = [
        lambda x: x * squash(norm(x)),
        lambda x: x * squash(norm(x).mean((2, 3), keepdim=True)),
        lambda x: x * squash(x[:, :1]),
        lambda x: norm(x) * squash(norm(x).amax((2, 3)))[:, :, None, None],
        lambda x: x + squash(x.mean((2, 3), keepdim=True)),
        F.silu,
        F.gelu,
        F.hardswish,
        torch.tanh,
        lambda x: torch.sigmoid(x) - 0.5,
    ]
    way = net.draw.choice(ways)
    return lambda x: way(x + 0.3)  # whole numbers behind a norm would often meet the sign's 0 itself


def enlarged(net: Net) -> Layer:
    kind = BinaryConvTranspose2d(
        net.channels, net.channels, 3, stride=2, padding=1, output_padding=1, input_quantizer="ste_sign"
    )
    conv, norm = net.add(kind), _norm(net)
    return lambda x: norm(conv(x[:, :, ::2, ::2]))


def paired(net: Net) -> Layer:
    """AdaBin's pairs: in the weights, in what they read, or in both; padded with a 0 that lies between two codes."""
    read = AdaBinActivation()
    with torch.no_grad():
        read.alpha.fill_(net.draw.choice([0.5, 0.7, 1]))
        read.beta.fill_(net.draw.choice([0, 0.25, -0.3]))
    weights = net.draw.choice(["adabin_weight", "adabin_weight", ScaledSign()])
    conv = _conv(net, input_quantizer=net.draw.choice([read, "ste_sign"]), weight_quantizer=weights)
    norm = _norm(net)
    if net.draw.random() < 0.3:
        parametrize.register_parametrization(conv, "weight", Mirrored())
    return lambda x: norm(conv(x))


class Mirrored(nn.Module):
    """Filters that look alike from left and right."""

    def forward(self, weight: Tensor) -> Tensor:
        return (weight + weight.flip(-1)) / 2


def nested(net: Net) -> Layer:
    return net.add(Sequential(_conv(net), _norm(net), nn.Sequential(nn.Hardtanh(), nn.Identity())))  # type: ignore[return-value]


STEPS = [plain, plain, residual, residual, clipped_in_place, activation, own_sign, own_layer, hooked, parameter]
STEPS += [shared, pooled, nested, moved, moved, gated, enlarged, paired, paired]


def flattened(net: Net) -> Layer:
    norm = net.add(nn.BatchNorm2d(net.channels))
    lazy = net.add(nn.Flatten())
    ways: list[Layer] = [lazy, lambda x: x.view(x.size(0), -1), lambda x: x.flatten(1), lambda x: x.reshape(len(x), -1)]
    way = net.draw.choice(ways)
    pool = net.draw.choice([1, 2])
    classes = net.add(BinaryLinear(net.channels * (net.size // pool) ** 2, 4, bias=False, input_quantizer="ste_sign"))
    return lambda x: classes(way(F.max_pool2d(norm(F.adaptive_max_pool2d(x, net.size)), pool)))


def averaged(net: Net) -> Layer:
    ways: list[Layer] = [
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda x: x.mean([2, 3]),
        lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1),
        net.add(nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())),  # type: ignore[list-item]
        lambda x: x.amax((2, 3)),
    ]
    way = net.draw.choice(ways)
    if net.draw.random() < 0.4:
        return way
    classes = net.add(BinaryLinear(net.channels, 5, bias=net.draw.random() < 0.5, input_quantizer="ste_sign"))
    return lambda x: classes(way(x))


def image(net: Net) -> Layer:
    conv = net.add(BinaryConv2d(net.channels, 3, 1, bias=False, input_quantizer="ste_sign"))
    return net.draw.choice([conv, lambda x: conv(x).view(x.shape[0], 3, -1), lambda x: F.softmax(conv(x), 1)])


def several(net: Net) -> Callable[[Tensor], Any]:
    """The numbers and an image, in one of the ways in which modules return both."""
    few, pixels, norm = averaged(net), image(net), _norm(net)
    ways: list[Callable[[Tensor, Tensor], Any]] = [
        lambda x, y: (x, y),
        lambda x, y: [y, x, x],
        lambda x, y: {"pixels": y, "class": x},
        lambda x, y: (x, {"inside": y}),
    ]
    way = net.draw.choice(ways)
    return lambda x: way(few(norm(x)), pixels(x))


ENDS = [flattened, averaged, averaged, image, several]


class Dense(nn.Module):
    """Bytes of an image as one vector, then linear layers, as modules and functions."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.shape = draw.choice([(3, 4, 5), (1, 6, 6), (2, 3, 4)])
        size, hidden = self.shape[0] * self.shape[1] * self.shape[2], draw.choice([1, 9, 16])
        self.byte = ByteInput(draw.choice([1, 1 / 255]))
        self.early, self.way = draw.random() < 0.5, draw.randrange(4)
        self.first = BinaryLinear(size, hidden, bias=draw.random() < 0.5)
        self.norm, self.sign, self.drop = nn.BatchNorm1d(hidden), SteSign(), nn.Dropout()
        self.second = BinaryLinear(hidden, hidden, bias=False)
        self.third = BinaryLinear(hidden, 4, input_quantizer="ste_sign")
        self.last = draw.choice([nn.Identity(), nn.BatchNorm1d(4), nn.LogSoftmax(1)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.byte(x.flatten(1)) if self.early else self.byte(x).view(x.shape[0], -1)
        x = self.norm(self.first(x))
        y = self.second(self.drop(self.sign(x)))
        if self.way == 0:
            y = y + x
        elif self.way == 1:
            y = self.norm(y) - x * 0.5
        elif self.way == 2:
            y = F.hardtanh(y) + F.linear(self.sign(x), self.second.binary_weight)
        return self.last(self.third(y))


def make(seed: int) -> tuple[nn.Module, tuple[int, int, int]]:
    """A module and the shape of one of its images."""
    if seed % 8 == 7:
        dense = Dense(seed)
        return settle(dense, seed, spread=random.Random(seed).choice([3, 12, 200])), dense.shape
    net = Net(seed)
    return settle(net, seed, spread=random.Random(seed).choice([3, 12, 200])), (net.image, net.size, net.size)
