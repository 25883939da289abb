"""Binary-Weight-Networks and XNOR-Net on ImageNet: AlexNet, and residual nets of 18 or 34 layers.

M. Rastegari, V. Ordonez, J. Redmon, A. Farhadi, 2016 (arXiv 1603.05279; ECCV 2016).

**Binarized**: as `recipes/bwn.py` (weights) and `recipes/xnornet.py` (weights and inputs of layers), but the first and
the last layer. Residual nets: shortcuts that change the channels are real too.

**Forward**   AlexNet: see those pages. A block of a residual net is, for BWN, ReLU(x + BatchNorm(conv(ReLU(BatchNorm(
conv(x)))))), and for XNOR-Net x + conv(sign(BatchNorm(conv(sign(BatchNorm(x)))))); loss: cross-entropy.
**Backward**  as on those pages; latent weights are centred and clipped to [−1, 1] before every iteration.

================ ==================== =====================
recipe           reported, AlexNet    reported, ResNet-18
================ ==================== =====================
xnornet-imagenet 55.8 % (top-5 30.8)  48.8 % (top-5 26.8)
bwn-imagenet     43.2 % (top-5 20.6)  39.2 % (top-5 17.0)
================ ==================== =====================

The paper's float AlexNet has 43.4 %, its float ResNet-18 30.7 %; ``weights=float`` of ``bwn-imagenet`` is that net, and
with ``network=resnet34`` a teacher for other recipes.

**Departures.** Batch sizes, rates and their steps are those of the authors' AlexNet code (55 epochs; BWN: SGD, batch
128; XNOR-Net: Adam at a tenth of the rates, batch 800), for the residual nets too. Their code multiplies Adam's
gradients by 1e9. Shortcuts that change the channels are average pool – 1 × 1 convolution – BatchNorm. The epoch is
chosen on a fiftieth of the training images.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryConv2d, Sequential, latent_weights
from binarynet.optim import SGD, Adam, latent_optimizer
from binarynet.optim.center import center_latent_weights
from binarynet.recipes.bwn import EPSILON, MOMENTUM, Bwn
from binarynet.recipes.imagenet import ImageNet, Stepped
from binarynet.recipes.networks import Modules, resnet
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, NotNegative, Positive
from binarynet.recipes.xnornet import XnorNet

_RATES = ((0, 1.0), (18, 0.5), (29, 0.1), (43, 0.05), (52, 0.01))  # of 55 epochs; no decay from the 29th on
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


class Block(nn.Module):
    """Behind(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, behind: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.behind = body, shortcut, behind

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.behind(self.body(x) + self.shortcut(x))
        return y


@dataclass(frozen=True, kw_only=True)
class _Rastegari(ImageNet, Bwn):
    """What both share. ``filters`` and ``width`` of AlexNet; a residual net has 64 filters for AlexNet's 96."""

    area: ClassVar[tuple[float, float] | None] = None  # squares of 224 out of 256

    network: Literal["alexnet", "resnet18", "resnet34"] = "alexnet"  # type: ignore[assignment]
    filters: Count = 96
    width: Count = 4096
    layers: Count = 2
    weight_decay: NotNegative = 5e-4

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        if self.network == "alexnet":
            return super().model(shape, classes)
        filters = max(1, self.filters * 2 // 3)
        stem: Modules = {
            "bytes": self.pixels(),
            "conv1": nn.Conv2d(shape[0], filters, 7, 2, 3, bias=False),
            "norm1": nn.BatchNorm2d(filters, EPSILON, MOMENTUM),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(3, 2, 1),
        }
        return resnet(stem, filters, _BLOCKS[self.network], self._block, self._answer, classes)

    def _block(self, channels: int, filters: int, stride: int) -> nn.Module:
        body: Modules = {}
        for k, inside, step in ((2, channels, stride), (3, filters, 1)):
            body |= self.before(k, lambda inside=inside: nn.BatchNorm2d(inside, EPSILON, MOMENTUM))  # type: ignore[misc]
            layer = BinaryConv2d(inside, filters, 3, step, 1, **self.quantizers(k))
            nn.init.normal_(layer.weight, std=0.05)
            body[f"conv{k}"] = self.hidden(k, layer)
            body |= self.behind(k, lambda: nn.BatchNorm2d(filters, EPSILON, MOMENTUM))
        behind = body.pop("relu3", nn.Identity())
        halving: Modules = {"pool": nn.AvgPool2d(stride)} if stride > 1 else {}
        halving |= {"conv": nn.Conv2d(channels, filters, 1, bias=False), "norm": nn.BatchNorm2d(filters)}
        shortcut = nn.Identity() if stride == 1 and channels == filters else Sequential(OrderedDict(halving))
        return Block(Sequential(OrderedDict(body)), shortcut, behind)

    def _answer(self, features: int, classes: int) -> Modules:
        return {"classes": nn.Linear(features, classes)}

    def _scheduled(self, optimizer: Optimizer, model: nn.Module) -> tuple[Optimizer, LRScheduler]:
        layers = [layer for _, layer, _ in latent_weights(model)]
        if self.centered and layers:
            center_latent_weights(optimizer, layers)
        return optimizer, Stepped(optimizer, _RATES, 55, self.epochs, decay_until=29)


@dataclass(frozen=True, kw_only=True)
class BwnImageNet(_Rastegari):
    """BWN; ``weights=float`` is the float network of the same shape."""

    reported: ClassVar[dict[str, float]] = {"imagenet": 43.2}

    weights: Literal["binary", "float"] = "binary"
    lr_start: Positive = 1e-2

    def quantizers(self, k: int) -> dict[str, Any]:
        return {"weight_quantizer": None, "bias": False} if self.weights == "float" else super().quantizers(k)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        clip = None if self.centered else 1.0
        settings: dict[str, Any] = {"momentum": 0.9, "weight_decay": self.weight_decay}
        return self._scheduled(
            latent_optimizer(SGD, model, lr=self.lr_start, step_scale=False, clip=clip, **settings), model
        )


@dataclass(frozen=True, kw_only=True)
class XnorNetImageNet(_Rastegari, XnorNet):
    """XNOR-Net."""

    reported: ClassVar[dict[str, float]] = {"imagenet": 55.8}

    lr_start: Positive = 1e-3

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        clip, decay = (None if self.centered else 1.0), self.weight_decay
        return self._scheduled(
            latent_optimizer(Adam, model, lr=self.lr_start, step_scale=False, clip=clip, weight_decay=decay), model
        )


RECIPES: dict[str, Recipe] = {
    "bwn-imagenet": BwnImageNet(data="imagenet", epochs=55, batch_size=128),
    "xnornet-imagenet": XnorNetImageNet(data="imagenet", epochs=55, batch_size=800),
}
