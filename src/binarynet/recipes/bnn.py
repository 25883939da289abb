"""Binarized Neural Networks: weights and activations constrained to +1 or −1.

M. Courbariaux, I. Hubara, D. Soudry, R. El-Yaniv, Y. Bengio, 2016 (arXiv 1602.02830; NIPS 2016), in the
settings of the authors' Theano code.

**Binarized**: all weights, the last layer's too, and all hidden activations, both by the deterministic sign.
Inputs are bytes. Real: the latent weights that training updates, BatchNorm, the ten answers.

**Forward**   a = sign(BatchNorm(pool(a_before ⋆ sign(W)))), last layer without sign; loss: squared hinge.
**Backward**  clipped straight-through: the gradient passes where |x| ≤ 1. W ← clip(W + scale · step, −1, 1), where
scale = sqrt((fan in + fan out) / 1.5) is Glorot's; without it the accuracies below are not reached.

=========== ===========
recipe      reported
=========== ===========
bnn-mnist   0.96 %
bnn-cifar10 11.40 %
bnn-svhn    2.80 %
bnn-digits  (not in it)
=========== ===========

**Departures.** No bias before a BatchNorm, which removes it anyway. The input is 2x − 255 instead of 2x / 255 − 1;
the first BatchNorm removes the factor, and its ε weighs 255² times less. Running variances are averaged as
variances (torch), not as inverse deviations (Lasagne). With fewer epochs than the paper's the learning rate ends
higher, see `Bnn.last_lr`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput, SteSign, squared_hinge
from binarynet.optim import Adam, geometric_decay, latent_optimizer
from binarynet.recipes.networks import Modules, doubled, mlp, scaled, vgg
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive, Range, Share

EPSILON, MOMENTUM = 1e-4, 0.1  # of BatchNorm; torch's momentum is Lasagne's alpha
# Latent weights never leave the window [−1, 1], so the clipped estimator passes every gradient, for more work.
WEIGHTS = "identity_sign"


@dataclass(frozen=True, kw_only=True)
class Bnn(Recipe):
    """What the paper's networks share: Adam with the Glorot step scale, geometric decay, squared hinge."""

    paper: ClassVar[str] = "Courbariaux et al. 2016, arXiv 1602.02830"
    binarized: ClassVar[str] = "weights and activations, deterministic"

    lr_start: Positive = 3e-3
    lr_end: Positive = 3e-7
    full_epochs: Annotated[int, Range("2 or more", minimum=2)] = 1000

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start, fused=True)
        return optimizer, geometric_decay(optimizer, self.lr_start, self.last_lr, self.epochs)

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Binary linear – BatchNorm – sign."""
        return {
            f"linear{k}": BinaryLinear(features, width, bias=False, weight_quantizer=WEIGHTS),
            f"norm{k}": nn.BatchNorm1d(width, EPSILON, MOMENTUM),
            f"sign{k}": SteSign(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        """Binary linear – BatchNorm."""
        return {
            "classes": BinaryLinear(features, classes, bias=False, weight_quantizer=WEIGHTS),
            "logits": nn.BatchNorm1d(classes, EPSILON, MOMENTUM),
        }

    @property
    def last_lr(self) -> float:
        """Where the decay ends: ``lr_end`` after ``full_epochs``, the paper's; a shorter run ends higher.

        Ten epochs that end at 3e-7 would spend most of their steps at rates that flip no weight. The decay, in
        decades, grows with the logarithm of the epochs.
        """
        share = math.log(self.epochs) / math.log(self.full_epochs)
        return float(self.lr_start * (self.lr_end / self.lr_start) ** share)


@dataclass(frozen=True, kw_only=True)
class BnnMlp(Bnn):
    """drop – [binary linear – BatchNorm – sign – drop] × layers – binary linear – BatchNorm.

    ``dropout`` falls on the hidden ±1 activations, as in the authors' code.
    """

    reported: ClassVar[dict[str, float]] = {"mnist": 0.96}

    width: Count = 4096
    layers: Count = 3
    dropout: Share = 0.5
    input_dropout: Share = 0.2

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        head: Modules = {"bytes": ByteInput(), "drop": nn.Dropout(self.input_dropout)}
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer, head=head)

    def dense(self, k: int, features: int, width: int) -> Modules:
        return super().dense(k, features, width) | {f"drop{k}": nn.Dropout(self.dropout)}


@dataclass(frozen=True, kw_only=True)
class BnnConvNet(Bnn):
    """2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC, each with BatchNorm and sign.

    Order: convolution (3 × 3, zeros outside) – pool – BatchNorm – sign. ``filters`` is the first pair's number;
    ``width_multiplier`` shrinks or widens the whole net; ``augmented`` images are padded by 4, cropped and flipped
    (not in the paper). For a small chip, ``convolutions=single`` leaves one before each pool, 128 – 256 – 256, and
    ``dense_layers=0`` none of the hidden dense layers.
    """

    reported: ClassVar[dict[str, float]] = {"cifar10": 11.40, "svhn": 2.80}

    filters: Count = 128
    hidden: Count = 1024
    width_multiplier: Positive = 1.0
    convolutions: Literal["pairs", "single"] = "pairs"
    dense_layers: Natural = 2
    augmented: bool = False

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        filters, hidden = doubled(self.filters, self.width_multiplier), scaled(self.hidden, self.width_multiplier)
        if self.convolutions == "single":
            filters = [filters[0], filters[2], filters[2]]
        pooled = 2 if self.convolutions == "pairs" else 1
        return vgg(
            shape, classes, filters, [hidden] * self.dense_layers, self.conv, self.dense, self.answer, pooled=pooled
        )

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Binary convolution – (pool) – BatchNorm – sign."""
        return {
            f"conv{k}": BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=WEIGHTS),
            **pool,
            f"norm{k}": nn.BatchNorm2d(filters, EPSILON, MOMENTUM),
            f"sign{k}": SteSign(),
        }


RECIPES: dict[str, Recipe] = {
    "bnn-digits": BnnMlp(
        data="digits",
        epochs=40,
        batch_size=50,
        width=512,
        dropout=0.2,
        input_dropout=0.0,
        lr_end=3e-5,
        full_epochs=40,
    ),
    "bnn-mnist": BnnMlp(data="mnist", epochs=1000, batch_size=100),
    "bnn-cifar10": BnnConvNet(data="cifar10", epochs=500, full_epochs=500, batch_size=50, lr_start=1e-3),
    "bnn-svhn": BnnConvNet(
        data="svhn", epochs=200, full_epochs=200, batch_size=50, filters=64, lr_start=1e-3, lr_end=1e-6
    ),
}
