"""Bi-Real Net: a real-valued shortcut around every single binary convolution.

Z. Liu, B. Wu, W. Luo, X. Yang, W. Liu, K.-T. Cheng, "Bi-Real Net: Enhancing the Performance of 1-bit CNNs with
Improved Representational Capability and Advanced Training Algorithm", 2018 (arXiv 1808.00278; ECCV 2018).

**Binarized**: weights and inputs of all 3 × 3 convolutions but the first. Real: what flows along the shortcuts.
First convolution, 1 × 1 convolutions of shortcuts and last layer have real inputs (the first: bytes) and float
weights, as in the paper; with ``ends=binary`` their weights are ±1, too, which trains less smoothly: where the
background of the images is not 0, one flip in the first layer moves the mean of a whole channel.

**Forward**   x_next = BatchNorm(sign(x) ⋆ (α sign(W))) + x, α = mean |W| of each filter. Where the image is halved,
the shortcut is average pool – 1 × 1 convolution – BatchNorm.
**Backward**  sign(x) by ApproxSign, 2 − 2|x| where |x| ≤ 1; weights by the magnitude-aware gradient, α where |W| ≤ 1.

============== ===========
recipe         reported
============== ===========
bireal-cifar10 (not in it)
bireal-mnist   (not in it)
bireal-digits  (not in it)
============== ===========

The paper's own numbers are for ImageNet: `recipes/bireal_imagenet.py`.

**Departures.** Small images, so smaller networks; ``bireal-cifar10`` has the 16 binary convolutions of the 18 layers,
without the stem's pool. Trained from the start with both gradients, by Adam with the latent weights' step scale,
instead of by SGD from a network that was pre-trained with clipped activations. α stays in the network as
the scale that BatchNorm folds; the paper drops it and re-trains BatchNorm.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.errors import RecipeError
from binarynet.nn import ApproxSign, BinaryConv2d, BinaryLinear, ByteInput
from binarynet.nn.fused.sequential import fused
from binarynet.nn.quantizers import MagnitudeAwareSign
from binarynet.optim import Adam, geometric_decay, latent_optimizer
from binarynet.recipes.networks import Modules, resnet
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive


class BiRealBlock(nn.Module):
    """BatchNorm(conv(sign(x))) + shortcut(x): x (n, channels, h, w) -> (n, filters, h / stride, w / stride)."""

    def __init__(self, channels: int, filters: int, shortcut: nn.Module, stride: int = 1) -> None:
        super().__init__()
        self.sign = ApproxSign()
        self.conv = BinaryConv2d(
            channels, filters, 3, stride, padding=1, bias=False, weight_quantizer=MagnitudeAwareSign()
        )
        self.norm = nn.BatchNorm2d(filters)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = fused(x, self.sign, self.conv, self.norm) + self.shortcut(x)
        return y


@dataclass(frozen=True, kw_only=True)
class BiReal(Recipe):
    """Convolution – (pool) – BatchNorm – blocks × stages – global average – linear – BatchNorm.

    ``filters`` is the first stage's number; each of the others starts by halving the image and doubling the
    filters. ``blocks`` is the number of binary convolutions of a stage.
    """

    paper: ClassVar[str] = "Liu et al. 2018, arXiv 1808.00278"
    binarized: ClassVar[str] = "weights, and activations but for the shortcuts"

    filters: Count = 64
    stages: Count = 4
    blocks: Count = 4
    stem_pool: bool = False
    ends: Literal["float", "binary"] = "float"
    augmented: bool = False
    lr_start: Positive = 1e-3
    lr_end: Positive = 1e-5

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        halvings = self.stages - 1 + self.stem_pool
        if height % 2**halvings or width % 2**halvings:
            raise RecipeError(
                f"stages={self.stages}, stem_pool={self.stem_pool} halve an image {halvings} times, and "
                f"{height}x{width} pixels cannot be. Choose fewer stages."
            )
        return resnet(self.stem(channels), self.filters, [self.blocks] * self.stages, self.block, self.answer, classes)

    def stem(self, channels: int) -> Modules:
        """Bytes – convolution – (pool) – BatchNorm."""
        return {
            "bytes": ByteInput(),
            "stem": self._conv(channels, self.filters, 3, padding=1),
            **({"stem_pool": nn.MaxPool2d(2)} if self.stem_pool else {}),
            "stem_norm": nn.BatchNorm2d(self.filters),
        }

    def block(self, channels: int, filters: int, stride: int) -> nn.Module:
        shortcut = self._halving(channels, filters) if stride > 1 else nn.Identity()
        return BiRealBlock(channels, filters, shortcut, stride)

    def answer(self, features: int, classes: int) -> Modules:
        """Linear – BatchNorm."""
        return {
            "classes": (nn.Linear if self.ends == "float" else BinaryLinear)(features, classes, bias=False),
            "logits": nn.BatchNorm1d(classes),
        }

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start)
        return optimizer, geometric_decay(optimizer, self.lr_start, self.lr_end, self.epochs)

    def _conv(self, channels: int, filters: int, kernel: int, padding: int = 0) -> nn.Module:
        """A convolution of real inputs, at an end or in a shortcut."""
        layer = nn.Conv2d if self.ends == "float" else BinaryConv2d
        return layer(channels, filters, kernel, padding=padding, bias=False)

    def _halving(self, channels: int, filters: int) -> nn.Module:
        shortcut = {
            "pool": nn.AvgPool2d(2),
            "conv": self._conv(channels, filters, 1),
            "norm": nn.BatchNorm2d(filters),
        }
        return nn.Sequential(OrderedDict(shortcut))


RECIPES: dict[str, Recipe] = {
    "bireal-digits": BiReal(data="digits", epochs=20, batch_size=50, filters=32, stages=2, blocks=2, lr_start=3e-3),
    "bireal-mnist": BiReal(
        data="mnist", epochs=40, batch_size=100, filters=48, stages=2, blocks=2, stem_pool=True, lr_start=3e-3
    ),
    "bireal-cifar10": BiReal(data="cifar10", epochs=200, batch_size=128, augmented=True),
}
