"""What the recipes of the modern line share: the network VGG-small, and SGD with a rate that falls as a cosine."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryConv2d, BinaryLinear
from binarynet.nn.quantizers import AbsMaxWeight, Quantizer
from binarynet.optim import SGD, cosine_decay, latent_optimizer
from binarynet.recipes.networks import Modules, doubled, vgg_small
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, NotNegative, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Modern(Recipe):
    """VGG-small, 128C3 – 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 10FC: convolution – (pool) – BatchNorm – sign.

    The first convolution, which reads bytes, and the last layer have weights of 8 bits (``ends=8bit``) or float ones.
    The rate rises for ``warmup`` epochs and falls to 0 as a cosine. ``weight_decay`` is on all parameters, as in the
    authors' codes; ``smoothing`` is that of the labels. ``augmented`` images are padded by 4, cropped and flipped.
    """

    reported: ClassVar[dict[str, float]] = {}

    filters: Count = 128
    width_multiplier: Positive = 1.0
    ends: Literal["8bit", "float"] = "8bit"
    augmented: bool = True
    lr: Positive = 0.1
    momentum: Share = 0.9
    weight_decay: NotNegative = 5e-4
    warmup: Natural = 0
    smoothing: Share = 0.0

    @abstractmethod
    def weights(self) -> Quantizer:
        """The quantizer of a binary convolution's weights."""

    @abstractmethod
    def activation(self) -> Quantizer:
        """What stands behind a norm."""

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return vgg_small(shape, classes, doubled(self.filters, self.width_multiplier), self.conv, self.answer)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Convolution – (pool) – BatchNorm – sign."""
        window: dict[str, Any] = {"kernel_size": 3, "padding": 1, "bias": False}
        if k > 1:
            layer: nn.Module = BinaryConv2d(channels, filters, **window, weight_quantizer=self.weights())
        elif self.ends == "8bit":
            layer = BinaryConv2d(channels, filters, **window, weight_quantizer=AbsMaxWeight())
        else:
            layer = nn.Conv2d(channels, filters, **window)
        if isinstance(layer, BinaryConv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        return {f"conv{k}": layer, **pool, f"norm{k}": nn.BatchNorm2d(filters), f"sign{k}": self.activation()}

    def answer(self, features: int, classes: int) -> Modules:
        """Linear, with bias."""
        if self.ends == "float":
            return {"classes": nn.Linear(features, classes)}
        layer = BinaryLinear(features, classes, weight_quantizer=AbsMaxWeight())
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))  # as a float layer starts
        return {"classes": layer}

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        settings: dict[str, Any] = {"momentum": self.momentum, "weight_decay": self.weight_decay}
        optimizer = latent_optimizer(SGD, model, lr=self.lr, step_scale=False, clip=None, **settings)
        return optimizer, cosine_decay(optimizer, self.epochs, self.warmup)
