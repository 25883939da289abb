"""Bop: the binary weights themselves are trained, by flipping; there are no latent weights.

K. Helwegen, J. Widdicombe, L. Geiger, Z. Liu, K.-T. Cheng, R. Nusselder, "Latent Weights Do Not Exist: Rethinking
Binarized Neural Network Optimization", 2019 (arXiv 1906.02107; NeurIPS 2019).

**Binarized**: all weights, in training, too: what a checkpoint holds is ±1. All hidden activations, by the
deterministic sign. Inputs are bytes. Real: the offsets of BatchNorm (it has no γ), the ten answers.

**Forward**   a = sign(BatchNorm(pool(a_before ⋆ w))), last layer without sign; loss: softmax cross entropy.
**Backward**  clipped straight-through for activations. m ← (1 − γ) m + γ g; w ← −w where w m > τ. γ is multiplied by
``gamma_decay`` from one of ``stages`` equal stages to the next. Adam for the rest.

=========== ===========
recipe      reported
=========== ===========
bop-cifar10 8.7 %
bop-mnist   (not in it)
bop-digits  (not in it)
=========== ===========

**Departures.** The paper trains the ConvNet of `bnn` on CIFAR-10, with its images cropped and flipped, and chooses
nothing by validation; here a tenth of the images is held out. The settings for MNIST and digits, which it does
not use, are ours: they have fewer steps, so γ and τ are larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from binarynet.nn import BinaryConv2d, BinaryLinear, SteSign
from binarynet.optim.bop import bop_optimizer
from binarynet.recipes.networks import Modules, doubled, mlp, scaled, vgg
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, NotNegative, Positive

EPSILON, MOMENTUM = 1e-3, 0.1  # of BatchNorm


@dataclass(frozen=True, kw_only=True)
class BopNet(Recipe):
    """What the networks share: Bop with a decaying γ, cross entropy, BatchNorm without scale."""

    paper: ClassVar[str] = "Helwegen et al. 2019, arXiv 1906.02107"
    binarized: ClassVar[str] = "weights and activations, without latent weights"

    gamma: Positive = 1e-4
    gamma_decay: Positive = 0.1
    stages: Count = 5  # of 100 epochs each for CIFAR-10
    tau: NotNegative = 1e-8
    lr: Positive = 0.01

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = bop_optimizer(model, gamma=self.gamma, tau=self.tau, lr=self.lr)
        rest, flips = (lambda epoch: 1.0), (lambda epoch: self.gamma_decay ** (epoch * self.stages // self.epochs))
        return optimizer, LambdaLR(optimizer, [rest, flips])

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Binary linear – BatchNorm – sign."""
        return {
            f"linear{k}": BinaryLinear(features, width, bias=False),
            f"norm{k}": unscaled(nn.BatchNorm1d(width, EPSILON, MOMENTUM)),
            f"sign{k}": SteSign(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        """Binary linear – BatchNorm."""
        return {
            "classes": BinaryLinear(features, classes, bias=False),
            "logits": unscaled(nn.BatchNorm1d(classes, EPSILON, MOMENTUM)),
        }


def unscaled(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    """The norm without γ: y = (x − mean) / deviation + β."""
    norm.register_parameter("weight", None)
    return norm


@dataclass(frozen=True, kw_only=True)
class BopMlp(BopNet):
    """[binary linear – BatchNorm – sign] × layers – binary linear – BatchNorm."""

    width: Count = 1024
    layers: Count = 3

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer)


@dataclass(frozen=True, kw_only=True)
class BopConvNet(BopNet):
    """2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC, each with BatchNorm and sign.

    Order: convolution (3 × 3, zeros outside) – pool – BatchNorm – sign. ``filters`` is the first pair's number;
    ``width_multiplier`` shrinks or widens the whole net; ``augmented`` images are padded by 4, cropped and flipped.
    """

    reported: ClassVar[dict[str, float]] = {"cifar10": 8.7}

    filters: Count = 128
    hidden: Count = 1024
    width_multiplier: Positive = 1.0
    augmented: bool = True

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        filters, hidden = doubled(self.filters, self.width_multiplier), scaled(self.hidden, self.width_multiplier)
        return vgg(shape, classes, filters, [hidden] * 2, self.conv, self.dense, self.answer)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Binary convolution – (pool) – BatchNorm – sign."""
        return {
            f"conv{k}": BinaryConv2d(channels, filters, 3, padding=1, bias=False),
            **pool,
            f"norm{k}": unscaled(nn.BatchNorm2d(filters, EPSILON, MOMENTUM)),
            f"sign{k}": SteSign(),
        }


RECIPES: dict[str, Recipe] = {
    "bop-digits": BopMlp(data="digits", epochs=40, batch_size=50, width=512, gamma=1e-3, tau=1e-6, gamma_decay=0.3),
    "bop-mnist": BopMlp(data="mnist", epochs=200, batch_size=100, gamma=1e-3, tau=1e-7, gamma_decay=0.3),
    "bop-cifar10": BopConvNet(data="cifar10", epochs=500, batch_size=50),
}
