"""Quantized Neural Networks on ImageNet: AlexNet and GoogLeNet.

I. Hubara, M. Courbariaux, D. Soudry, R. El-Yaniv, Y. Bengio, 2016 (arXiv 1609.07061; JMLR 2018).

**Binarized**: all weights to ``weight_bits`` and all hidden activations to ``activation_bits``, as in `recipes/qnn.py`.
Inputs are bytes. Real: the latent weights, BatchNorm, the answers.

**Forward**   a = Q_A(BatchNorm(pool(a_before ⋆ Q_W(W)))); a module of GoogLeNet is four such branches side by side;
loss: cross-entropy.
**Backward**  clipped straight-through, where |x| ≤ 1; W ← clip(W − step, −1, 1).

============= ============================
recipe        reported, 1-bit W, 2-bit A
============= ============================
qnn-imagenet  49 % (AlexNet)
============= ============================

Of BNN, one bit for both, 41.8 % of the answers are right with AlexNet.

**Departures.** Those of `recipes/qnn.py`. The rates and AlexNet, its convolutions but the last three times as wide
(``inflation``), are those of the authors' port to PyTorch. GoogLeNet is that of C. Szegedy et al. (arXiv 1409.4842)
with BatchNorm, without its two classifiers on the way; the mean over its last image is rounded to 8 bits, so that the
last product is of integers, too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.errors import RecipeError
from binarynet.nn import BinaryConv2d, ByteInput, Sequential
from binarynet.nn.quantizers import LinearQuant
from binarynet.optim import Adam, latent_optimizer
from binarynet.recipes.bnn import EPSILON, MOMENTUM
from binarynet.recipes.imagenet import ImageNet, Stepped
from binarynet.recipes.networks import Modules, scaled
from binarynet.recipes.qnn import Qnn
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive

_RATES = ((0, 1.0), (20, 0.2), (30, 0.1), (35, 0.02), (40, 0.002))  # of 45 epochs
# 1 × 1; 1 × 1 before 3 × 3; 1 × 1 before 5 × 5; behind the pool. None: a pool that halves.
_GOOGLENET = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None,
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip


class Inception(nn.Module):
    """Branches side by side: (n, channels, h, w) → (n, the sum of theirs, h, w)."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


@dataclass(frozen=True, kw_only=True)
class QnnImageNet(ImageNet, Qnn):
    """``filters``, ``width``: of AlexNet's first and dense layers. GoogLeNet's widths are times filters / 64."""

    reported: ClassVar[dict[str, float]] = {"imagenet": 49.0}
    area: ClassVar[tuple[float, float] | None] = None  # squares of 224 out of 256

    network: Literal["alexnet", "googlenet"] = "alexnet"
    filters: Count = 64
    inflation: Positive = 3.0
    width: Count = 4096
    lr_start: Positive = 5e-3

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        net = self._alexnet(shape, classes) if self.network == "alexnet" else self._googlenet(shape, classes)
        return Sequential(OrderedDict({"bytes": ByteInput(), **net}))

    def _alexnet(self, shape: tuple[int, int, int], classes: int) -> Modules:
        net: Modules = {}
        channels, sides = shape[0], list(shape[1:])
        for k, (ratio, kernel, pool) in enumerate(((1, 11, True), (3, 5, True), (6, 3, False), (4, 3, False)), 1):
            filters = scaled(self.filters * ratio, self.inflation)
            net |= self.unit(k, channels, filters, kernel, 4 if k == 1 else 1, 2 if k == 1 else kernel // 2, pool)
            sides, channels = [_out(side, k == 1, pool) for side in sides], filters
        net |= self.unit(5, channels, 4 * self.filters, 3, 1, 1, True)
        sides, channels = [_out(side, False, True) for side in sides], 4 * self.filters
        if min(sides) < 1:
            raise RecipeError(f"images of {shape[1]} × {shape[2]} pixels are too small for AlexNet: size=64 at least")
        net["flatten"] = nn.Flatten()
        return (
            net
            | self.dense(6, channels * sides[0] * sides[1], self.width)
            | self.dense(7, self.width, self.width)
            | self.answer(self.width, classes)
        )

    def _googlenet(self, shape: tuple[int, int, int], classes: int) -> Modules:
        def wide(count: int) -> int:
            return scaled(count, self.filters / 64)

        net = self.unit(1, shape[0], wide(64), 7, 2, 3, True, 1)
        net |= self.unit(2, wide(64), wide(64), 1) | self.unit(3, wide(64), wide(192), 3, 1, 1, True, 1)
        channels = wide(192)
        for k, widths in enumerate(_GOOGLENET, 4):
            if widths is None:
                net[f"pool{k}"] = nn.MaxPool2d(3, 2, 1)
                continue
            one, three_in, three, five_in, five, behind = map(wide, widths)
            net[f"inception{k}"] = Inception(
                _branch(self.unit(1, channels, one, 1)),
                _branch(self.unit(1, channels, three_in, 1) | self.unit(2, three_in, three, 3, 1, 1)),
                _branch(self.unit(1, channels, five_in, 1) | self.unit(2, five_in, five, 5, 1, 2)),
                _branch({"pool": nn.MaxPool2d(3, 1, 1), **self.unit(1, channels, behind, 1)}),
            )
            channels = one + three + five + behind
        net |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "mean": LinearQuant(8)}
        return net | self.answer(channels, classes)

    def unit(
        self,
        k: int,
        channels: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        pool: bool = False,
        pool_padding: int = 0,
    ) -> Modules:
        """Convolution – (pool) – BatchNorm – activation."""
        window: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding, "bias": False}
        return {
            f"conv{k}": BinaryConv2d(channels, filters, **window, weight_quantizer=self.quantized(self.weight_bits)),
            **self.gradient(k),
            **({f"pool{k}": nn.MaxPool2d(3, 2, pool_padding)} if pool else {}),
            f"norm{k}": nn.BatchNorm2d(filters, EPSILON, MOMENTUM),
            f"activation{k}": self.quantized(self.activation_bits),
        }

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start, step_scale=False)
        return optimizer, Stepped(optimizer, _RATES, 45, self.epochs)


def _branch(modules: Modules) -> nn.Module:
    return Sequential(OrderedDict(modules))


def _out(side: int, first: bool, pool: bool) -> int:
    """What AlexNet leaves of a side: its first convolution takes every fourth place."""
    side = (side + 4 - 11) // 4 + 1 if first else side
    return (side - 3) // 2 + 1 if pool else side


RECIPES: dict[str, Recipe] = {"qnn-imagenet": QnnImageNet(data="imagenet", epochs=45, batch_size=256)}
