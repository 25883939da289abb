"""BOLD: Boolean weights that flip when enough votes against them have come together; there are no latent weights.

V. M. Nguyen et al., "BOLD: Boolean Logic Deep Learning", 2024 (arXiv 2405.16339; NeurIPS 2024).

**Binarized**: all weights, in training, too: what a checkpoint holds is ±1. All hidden activations, by the
deterministic sign. Inputs are bytes. Real: the offsets of BatchNorm (it has no γ), the ten answers.

**Forward**   a = sign(BatchNorm(pool(a_before ⋆ w))), last layer without sign; loss: softmax cross entropy.
**Backward**  clipped straight-through for activations. m ← β m + η g / mean |g|; where w m ≥ 1: w ← −w and
m ← 0; β is the share of the weights of the layer that did not flip. η falls to 0 as a cosine. Adam for the rest.

============ ===========
recipe       reported
============ ===========
bold-cifar10 7.63 %
bold-mnist   (not in it)
bold-digits  (not in it)
============ ===========

**Departures.** The paper propagates Boolean variations; here the gradient of the straight-through sign is what votes,
in units of its mean magnitude in the layer. η is ours, and so are the schedules. Networks and norms are those of `bop`:
the two differ in when a weight flips. The paper's net is VGG-small with float first and last layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.optim import cosine_decay
from binarynet.optim.bold import bold_optimizer
from binarynet.recipes.bop import BopConvNet, BopMlp, BopNet
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Positive


@dataclass(frozen=True, kw_only=True)
class Bold(BopNet):
    """What the networks share: votes with a falling η. The settings of Bop's rule, γ and τ, mean nothing here."""

    paper: ClassVar[str] = "Nguyen et al. 2024, arXiv 2405.16339"
    reported: ClassVar[dict[str, float]] = {}

    eta: Positive = 0.03

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = bold_optimizer(model, eta=self.eta, lr=self.lr)
        return optimizer, cosine_decay(optimizer, self.epochs)


@dataclass(frozen=True, kw_only=True)
class BoldMlp(Bold, BopMlp):
    """[Boolean linear – BatchNorm – sign] × layers – Boolean linear – BatchNorm."""


@dataclass(frozen=True, kw_only=True)
class BoldConvNet(Bold, BopConvNet):
    """2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC, each with BatchNorm and sign."""

    reported: ClassVar[dict[str, float]] = {"cifar10": 7.63}


RECIPES: dict[str, Recipe] = {
    "bold-digits": BoldMlp(data="digits", epochs=40, batch_size=50, width=512),
    "bold-mnist": BoldMlp(data="mnist", epochs=100, batch_size=100),
    "bold-cifar10": BoldConvNet(data="cifar10", epochs=300, batch_size=100),
}
