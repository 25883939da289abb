"""Bi-Real Net on ImageNet: ResNet-18 and 34 with a real-valued shortcut around every binary convolution.

Z. Liu, B. Wu, W. Luo, X. Yang, W. Liu, K.-T. Cheng, 2018 (arXiv 1808.00278; ECCV 2018).

**Binarized, forward, backward**   as in `recipes/bireal.py`. First convolution, 1 × 1 convolutions of shortcuts and
last layer have real inputs (the first: bytes) and float weights. Loss: cross-entropy with smoothed labels.

================ ===================== =====================
recipe           reported, 18 layers   reported, 34 layers
================ ===================== =====================
bireal-imagenet  43.6 % (top-5 20.5)   37.8 % (top-5 16.1)
================ ===================== =====================

**Departures.** Trained from the start with both gradients by Adam with a rate that falls in a straight line, 256 epochs
of batches of 512, as in the authors' later code for PyTorch, instead of in stages from a net of clipped activations. α
stays in the network as the scale that BatchNorm folds; the paper drops it and re-trains BatchNorm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.optim import Adam, latent_optimizer
from binarynet.recipes.bireal import BiReal
from binarynet.recipes.imagenet import ImageNet, linear_decay
from binarynet.recipes.networks import Modules, resnet
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Share

_BLOCKS = {"18": (4, 4, 4, 4), "34": (6, 8, 12, 6)}  # binary convolutions of each stage


@dataclass(frozen=True, kw_only=True)
class BiRealImageNet(ImageNet, BiReal):
    """Convolution of 7 × 7 by 2 – BatchNorm – P3 – blocks – global average – linear."""

    reported: ClassVar[dict[str, float]] = {"imagenet": 43.6}
    lighting: ClassVar[float] = 0.1

    depth: Literal["18", "34"] = "18"
    smoothing: Share = 0.1

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return resnet(self.stem(shape[0]), self.filters, _BLOCKS[self.depth], self.block, self.answer, classes)

    def stem(self, channels: int) -> Modules:
        return {
            "bytes": self.pixels(),
            "stem": nn.Conv2d(channels, self.filters, 7, 2, 3, bias=False),
            "stem_norm": nn.BatchNorm2d(self.filters),
            "stem_pool": nn.MaxPool2d(3, 2, 1),
        }

    def answer(self, features: int, classes: int) -> Modules:
        return {"classes": nn.Linear(features, classes)}

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start, step_scale=False, clip=None)
        return optimizer, linear_decay(optimizer, self.epochs)


RECIPES: dict[str, Recipe] = {"bireal-imagenet": BiRealImageNet(data="imagenet", epochs=256, batch_size=512)}
