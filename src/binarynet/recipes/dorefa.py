"""DoReFa-Net: k-bit weights, activations and gradients.

S. Zhou, Y. Wu, Z. Ni, X. Zhou, H. Wen, Y. Zou, 2016 (arXiv 1606.06160), in the settings of the authors' tensorpack
code (svhn-digit-dorefa.py).

**Binarized**: (W, A, G) bits of weights, activations and gradients, by default (1, 2, 4); 32 means float. Real: the
first and last layer of the convolutional net, BatchNorm.

**Forward**   a = quantize_A(clip(BatchNorm(a_before ⋆ w), 0, 1)); w = mean |W| sign(W) with one mean a layer for one
bit, else tanh(W), scaled to [−1, 1] and quantized; loss: cross-entropy.
**Backward**  straight-through, where 0 ≤ x ≤ 1 for activations and everywhere for weights. What comes back to a
layer's output is quantized to G bits in the range of the sample's largest magnitude, with noise that keeps its mean.

============== =============
recipe         reported
============== =============
dorefa-svhn    3.1 % (1,2,4)
dorefa-cifar10 (not in it)
dorefa-mnist   (not in it)
dorefa-digits  (not in it)
============== =============

The authors' code reports 3.0 to 3.1 % for (1, 2, 4) on SVHN, 3.1 to 3.2 % for (1, 1, 4), 2.3 % for float.

**Departures.** SVHN images are not enlarged to 40 × 40 but padded to it by the first convolution; they are not
augmented, and the L2 term of 1e-7 is left out. The MLP is not the paper's; with first and last layer float most of its
weights would be, so there `ends=quantized` quantizes the weights of both (not their gradients, as in the paper), and
the net runs on integers alone. The input is 2x / 255 − 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from binarynet.nn import BinaryConv2d, BinaryLayer, BinaryLinear, ByteInput, Quantizer, Sequential
from binarynet.nn.papers.gradient import GradientQuantizer
from binarynet.nn.quantizers import DorefaActivation, DorefaWeight
from binarynet.optim import Adam, latent_optimizer
from binarynet.recipes.networks import Modules, mlp
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive, Share

EPSILON, MOMENTUM = 1e-4, 0.1  # of BatchNorm; torch's 0.1 is tensorpack's 0.9
FLOAT = 32  # as a number of bits


@dataclass(frozen=True, kw_only=True)
class Dorefa(Recipe):
    """What the networks share: the quantizers, Adam with ε = 1e-5, and a rate that is halved ``halvings`` times.

    The halvings cut the epochs in equal parts: once in 200 epochs on SVHN, as in the authors' code.
    """

    paper: ClassVar[str] = "Zhou et al. 2016, arXiv 1606.06160"
    binarized: ClassVar[str] = "weights, activations and gradients to any number of bits"

    weight_bits: int = 1
    activation_bits: int = 2
    gradient_bits: int = 4
    ends: Literal["float", "quantized"] = "float"
    lr: Positive = 1e-3
    halvings: Natural = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weight_bits", "activation_bits", "gradient_bits"):
            bits = getattr(self, name)
            if bits not in (*range(1, 9), FLOAT):
                raise ValueError(f"{name}={bits}: needs 1 to 8, or 32 for float")

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr, step_scale=False, clip=None, eps=1e-5)
        return optimizer, StepLR(optimizer, max(1, self.epochs // (self.halvings + 1)), gamma=0.5)

    def weights(self, end: bool = False) -> Quantizer | None:
        if self.weight_bits == FLOAT or (end and self.ends == "float"):
            return None
        return DorefaWeight(self.weight_bits)

    def activation(self) -> nn.Module:
        return nn.ReLU() if self.activation_bits == FLOAT else DorefaActivation(self.activation_bits)

    def before_classes(self) -> nn.Module:
        """The activation that a float layer reads is clipped only."""
        if self.ends == "float" and self.activation_bits != FLOAT:
            return nn.Hardtanh(0.0, 1.0)
        return self.activation()

    def behind(self, k: int, features: int, norm: Callable[..., nn.Module]) -> Modules:
        """What stands behind layer k: gradient quantizer (not behind the first), norm."""
        gradient: Modules = {}
        if self.gradient_bits != FLOAT and k > 1:
            gradient = {f"gradient{k}": GradientQuantizer(self.gradient_bits)}
        return gradient | {f"norm{k}": norm(features, EPSILON, MOMENTUM)}


@dataclass(frozen=True, kw_only=True)
class DorefaMlp(Dorefa):
    """[linear – BatchNorm – activation] × layers – linear."""

    width: Count = 1024
    layers: Count = 3
    ends: Literal["float", "quantized"] = "quantized"

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        head: Modules = {"bytes": ByteInput(scale=1 / 255)}
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer, head=head)

    def dense(self, k: int, features: int, width: int) -> Modules:
        return {
            f"linear{k}": linear(features, width, self.weights(end=k == 1)),
            **self.behind(k, width, nn.BatchNorm1d),
            f"activation{k}": self.activation() if k < self.layers else self.before_classes(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        return {"classes": linear(features, classes, self.weights(end=True), bias=True)}


@dataclass(frozen=True, kw_only=True)
class DorefaConvNet(Dorefa):
    """The paper's SVHN net, 40 × 40 inside: 48C5 – P2 – 2 × 64C3 – P2 – 3 × 128C3 – drop – 512C5 – 10FC."""

    reported: ClassVar[dict[str, float]] = {"svhn": 3.1}

    filters: Count = 48
    dropout: Share = 0.5

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        n = self.filters
        # 36 → P2 → 18, 18, 18 → P2 → 9, 7, 7, 5, 1 from images of 32 × 32
        widths = [round(n * thirds / 3) for thirds in (3, 4, 4, 8, 8, 8, 32)]
        kernels, paddings, pools = (5, 3, 3, 3, 3, 3, 5), (4, 1, 1, 0, 1, 0, 0), (1, 3)
        net: Modules = {"bytes": ByteInput(scale=1 / 255)}
        channels, last = shape[0], len(widths)
        for k, (width, kernel, padding) in enumerate(zip(widths, kernels, paddings, strict=True), 1):
            if k == last:
                net["drop"] = nn.Dropout(self.dropout)
            first = k == 1
            net[f"conv{k}"] = conv(channels, width, kernel, padding, self.weights(end=first), bias=first)
            if not first:
                net |= self.behind(k, width, nn.BatchNorm2d)
            if k in pools:
                net[f"pool{k}"] = nn.MaxPool2d(2)
            net[f"activation{k}"] = self.activation() if k < last else self.before_classes()
            channels = width
        sides = [(size + 4) // 4 - 8 for size in shape[1:]]  # 1 × 1
        net["flatten"] = nn.Flatten()
        net["classes"] = linear(channels * sides[0] * sides[1], classes, self.weights(end=True), bias=True)
        return Sequential(OrderedDict(net))


def linear(features: int, width: int, quantizer: Quantizer | None, bias: bool = False) -> nn.Module:
    if quantizer is None:
        return nn.Linear(features, width, bias)
    return started(BinaryLinear(features, width, bias, weight_quantizer=quantizer))


def conv(
    channels: int,
    filters: int,
    kernel: int,
    padding: int,
    quantizer: Quantizer | None,
    bias: bool = False,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Module:
    window: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding, "bias": bias}
    window["groups"] = groups
    if quantizer is None:
        return nn.Conv2d(channels, filters, **window)
    return started(BinaryConv2d(channels, filters, **window, weight_quantizer=quantizer))


def started(layer: BinaryLayer) -> BinaryLayer:
    """He's uniform start: with it, mean |w| is that of a float layer."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return layer


RECIPES: dict[str, Recipe] = {
    "dorefa-digits": DorefaMlp(data="digits", epochs=40, batch_size=32, width=256, halvings=3),
    "dorefa-mnist": DorefaMlp(data="mnist", epochs=200, batch_size=128, halvings=5),
    "dorefa-svhn": DorefaConvNet(data="svhn", epochs=200, batch_size=128),
    "dorefa-cifar10": DorefaConvNet(data="cifar10", epochs=200, batch_size=128),
}
