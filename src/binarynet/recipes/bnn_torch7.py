"""Binarized Neural Networks in the settings of the Torch7 code: hidden signs drawn at random, shifts for products.

M. Courbariaux, I. Hubara, D. Soudry, R. El-Yaniv, Y. Bengio, 2016 (arXiv 1602.02830; NIPS 2016). The paper's other
set of results; `bnn` is the Theano code's.

**Binarized**: all weights by the sign (the code's option ``stcWeights``, here ``weights=stochastic``: at random in
training); hidden activations at random in training, by the sign in evaluation. Inputs are bytes. Real: the latent
weights, the ten answers and their BatchNorm.

**Forward**   a = draw(ShiftBatchNorm(pool(a_before ⋆ sign(W)))), where draw(x) = +1 with probability
clip((x + 1) / 2, 0, 1). The last layer: ordinary BatchNorm, no sign; loss: squared hinge.
**Backward**  the gradient passes where |x| ≤ 1. W ← clip(W + scale · step, −1, 1), step by shift-based AdaMax, whose
rate is halved ``halvings`` times, at equal distances. Powers of two by round(log2); ``rounding=floor``: as in hardware.

================== ===========
recipe             reported
================== ===========
bnn-torch7-mnist   1.40 %
bnn-torch7-cifar10 10.15 %
bnn-torch7-svhn    2.53 %
bnn-torch7-digits  (not in it)
================== ===========

**Departures.** Images are bytes by default, of which the first normalization removes mean and scale. The code whitens
CIFAR-10 (twice), ``preprocessing=gcn_zca`` once; it normalizes the contrast of SVHN, as ``gcn_lcn`` does, and divides
it by a number, which a norm undoes. It trains without end: the epochs here are ours. AdaMax keeps its
state un-rounded (rounded, as there, the running maximum cannot decay), and only weights are clipped (there
in the CIFAR-10 network γ, β and biases, too). The Glorot scale of γ on MNIST is left out. No bias before a norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from binarynet.nn import (
    BinaryConv2d,
    BinaryLinear,
    Quantizer,
    SteSign,
    StochasticSign,
    squared_hinge,
)
from binarynet.nn.papers.shift_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from binarynet.optim import latent_optimizer
from binarynet.optim.shift_adamax import ShiftAdaMax
from binarynet.recipes.networks import Modules, doubled, mlp, scaled, vgg
from binarynet.recipes.preprocessing import Preprocessing, head, prepare
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive

MOMENTUM = 0.125  # of the hidden norms; that of the answers has torch's default, 0.1


@dataclass(frozen=True, kw_only=True)
class BnnTorch7(Recipe):
    """What the networks share: signs, shift-based AdaMax, a rate that is halved every so many epochs."""

    paper: ClassVar[str] = "Courbariaux et al. 2016, arXiv 1602.02830"
    binarized: ClassVar[str] = "weights deterministic, activations stochastic in training"

    lr_start: Positive = 2**-6
    halvings: Natural = 10  # one after each epochs / halvings epochs: 50 for CIFAR-10, 20 for the others
    stochastic: bool = True
    weights: Literal["deterministic", "stochastic"] = "deterministic"
    measured_batches: Natural = 50
    rounding: Literal["nearest", "floor"] = "nearest"
    step_scale: Literal["glorot", "ap2"] = "ap2"

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(
            ShiftAdaMax, model, lr=self.lr_start, step_scale=self.step_scale, rounding=self.rounding
        )
        return optimizer, LambdaLR(optimizer, lambda epoch: 0.5 ** (epoch * self.halvings // self.epochs))

    def norm_batches(self) -> int:
        """Drawn weights are not those of evaluation."""
        return self.measured_batches if self.weights == "stochastic" else 0

    def quantizer(self) -> Quantizer:
        """Of a layer's weights."""
        return StochasticSign() if self.weights == "stochastic" else SteSign()

    def sign(self) -> Quantizer:
        """What stands behind a hidden norm."""
        return StochasticSign() if self.stochastic else SteSign()

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Binary linear – shift-based norm – sign, as modules of number k."""
        return {
            f"linear{k}": BinaryLinear(features, width, bias=False, weight_quantizer=self.quantizer()),
            f"norm{k}": ShiftBatchNorm1d(width, momentum=MOMENTUM, rounding=self.rounding),
            f"sign{k}": self.sign(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        """Binary linear – BatchNorm."""
        return {
            "classes": BinaryLinear(features, classes, bias=False, weight_quantizer=self.quantizer()),
            "logits": nn.BatchNorm1d(classes),
        }


@dataclass(frozen=True, kw_only=True)
class BnnTorch7Mlp(BnnTorch7):
    """[binary linear – shift-based norm – sign] × layers – binary linear – BatchNorm."""

    reported: ClassVar[dict[str, float]] = {"mnist": 1.40}

    width: Count = 2048
    layers: Count = 3

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer)


@dataclass(frozen=True, kw_only=True)
class BnnTorch7ConvNet(BnnTorch7):
    """2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC, each with norm and sign.

    Order: convolution (3 × 3, zeros outside) – pool – norm – sign. ``filters`` is the first pair's number;
    ``width_multiplier`` shrinks or widens the whole net. ``preprocessing``: see `recipes/preprocessing.py`.
    """

    reported: ClassVar[dict[str, float]] = {"cifar10": 10.15, "svhn": 2.53}

    filters: Count = 128
    hidden: Count = 1024
    width_multiplier: Positive = 1.0
    preprocessing: Preprocessing = "none"

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        filters, hidden = doubled(self.filters, self.width_multiplier), scaled(self.hidden, self.width_multiplier)
        before = head(self.preprocessing, shape)
        return vgg(shape, classes, filters, [hidden] * 2, self.conv, self.dense, self.answer, head=before)

    def prepare(self, model: nn.Module, images: np.ndarray) -> None:
        prepare(model, images)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Binary convolution – (pool) – shift-based norm – sign."""
        return {
            f"conv{k}": BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=self.quantizer()),
            **pool,
            f"norm{k}": ShiftBatchNorm2d(filters, momentum=MOMENTUM, rounding=self.rounding),
            f"sign{k}": self.sign(),
        }


RECIPES: dict[str, Recipe] = {
    "bnn-torch7-digits": BnnTorch7Mlp(data="digits", epochs=40, batch_size=50, width=512, halvings=5),
    "bnn-torch7-mnist": BnnTorch7Mlp(data="mnist", epochs=300, batch_size=100, halvings=15, step_scale="glorot"),
    "bnn-torch7-cifar10": BnnTorch7ConvNet(data="cifar10", epochs=500, batch_size=200),
    "bnn-torch7-svhn": BnnTorch7ConvNet(data="svhn", epochs=200, batch_size=200, filters=64, lr_start=2**-7),
}
