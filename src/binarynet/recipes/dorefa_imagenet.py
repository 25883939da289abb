"""DoReFa-Net on ImageNet: AlexNet with k-bit weights, activations and gradients.

S. Zhou, Y. Wu, Z. Ni, X. Zhou, H. Wen, Y. Zou, 2016 (arXiv 1606.06160), in the settings of the authors' tensorpack
code.

**Binarized**: (W, A, G) bits of weights, activations and gradients, by default (1, 2, 6); 32 means float. Real: the
first and the last layer, BatchNorm.

**Forward, backward**   as in `recipes/dorefa.py`: layer – BatchNorm – (pool) – clip to [0, 1] and k bits; loss:
cross-entropy.

=============== =====================
recipe          reported, by its code
=============== =====================
dorefa-imagenet 46.8 % (1, 2, 6)
=============== =====================

The code reports 51.5 % for (1, 1, 32), 44.3 % for (1, 32, 32), 42.0 % for (8, 8, 8) and 40.3 % for float, on single
crops.

**Departures.** The L2 term of 5e-6 on the dense layers is left out. Pools that TensorFlow pads on one side are padded
on both, which moves their windows by a pixel. Brightness, contrast and saturation change by up to 40 %, the strength in
tensorpack's augmentation not being known to us.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.errors import RecipeError
from binarynet.nn import Sequential
from binarynet.optim import Adam, latent_optimizer
from binarynet.recipes.dorefa import Dorefa, conv, linear
from binarynet.recipes.imagenet import ImageNet, Stepped
from binarynet.recipes.networks import Modules
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive

_RATES = ((0, 1.0), (60, 0.2), (75, 0.04))  # of 90 epochs


@dataclass(frozen=True, kw_only=True)
class DorefaAlexNet(ImageNet, Dorefa):
    """96C12 by 4 – 256C5 – P3 – 384C3 – P3 – 384C3 – 256C3 – P3 – 4096 – 4096 – classes; three layers in two groups."""

    reported: ClassVar[dict[str, float]] = {"imagenet": 46.8}
    jitter: ClassVar[float] = 0.4
    lighting: ClassVar[float] = 0.1

    gradient_bits: int = 6
    filters: Count = 96
    width: Count = 4096
    lr: Positive = 2e-4

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        net: Modules = {"bytes": self.pixels()}
        net["conv1"] = conv(shape[0], self.filters, 12, 0, self.weights(end=True), True, stride=4)
        net["activation1"] = self.activation()
        channels, sides = self.filters, [(size - 12) // 4 + 1 for size in shape[1:]]
        for k, (thirds, kernel, groups, pad) in enumerate(
            ((8, 5, 2, 1), (12, 3, 1, 1), (12, 3, 2, None), (8, 3, 2, 0)), 2
        ):
            filters = 2 * max(1, round(self.filters * thirds / 6))
            net[f"conv{k}"] = conv(channels, filters, kernel, kernel // 2, self.weights(), groups=groups)
            net |= self.behind(k, filters, nn.BatchNorm2d)
            if pad is not None:
                net[f"pool{k}"] = nn.MaxPool2d(3, 2, pad)
                sides = [(side + 2 * pad - 3) // 2 + 1 for side in sides]
            net[f"activation{k}"] = self.activation()
            channels = filters
        if min(sides) < 1:
            raise RecipeError(f"images of {shape[1]} × {shape[2]} pixels are too small for AlexNet: size=64 at least")
        net["flatten"], features = nn.Flatten(), channels * sides[0] * sides[1]
        for k in (6, 7):
            net[f"linear{k}"] = linear(features, self.width, self.weights())
            net |= self.behind(k, self.width, nn.BatchNorm1d)
            net[f"activation{k}"] = self.activation() if k == 6 else self.before_classes()
            features = self.width
        net["classes"] = linear(features, classes, self.weights(end=True), bias=True)
        return Sequential(OrderedDict(net))

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr, step_scale=False, clip=None, eps=1e-5)
        return optimizer, Stepped(optimizer, _RATES, 90, self.epochs)


RECIPES: dict[str, Recipe] = {"dorefa-imagenet": DorefaAlexNet(data="imagenet", epochs=90, batch_size=256)}
