"""Expectation backpropagation: train the probabilities of weights, then use the most probable network, or all.

D. Soudry, I. Hubara, R. Meir, 2014 (NIPS 2014); Z. Cheng, D. Soudry, Z. Mao, Z. Lan, 2015 (arXiv 1503.03562), whose
MNIST numbers stand below. Settings after the authors' Matlab code.

**Binarized**: all weights and all hidden neurons, as random variables: tanh(h) is the mean of a ±1 weight. Biases are
real. ``weights=real``: Gaussian weights of mean h instead.

**Forward**   z = μ / σ, m = 2Φ(z) − 1, layer by layer, with the closed forms of `nn/papers/expectation_backprop.py`;
loss: −Σ log Φ(y z), y = ±1 for each class.
**Backward**  a closed form, too: h ← h + η/2 (Δ∘G) mᵀ, summed over the batch, G = 2 N(0; μ, σ²) / √(K+1) (last layer:
divided by Φ(y μ / σ)), Δ = y at the top and tanh(h)ᵀ (Δ∘G) of the layer above below it. No optimizer: η = 1.

**At test time** ``evaluation=ebp-d`` is one network of signs, W1A1, which lowers to integers; its real biases end up
in the thresholds. ``evaluation=ebp-p`` is the mean answer of all networks: it computes μ and σ with real numbers, so it
has no integer graph and cannot be lowered. ``weights=real`` lowers as what it is, with real weights, where they are
allowed.

=========================== ==================================
recipe                      reported
=========================== ==================================
expectation-backprop-mnist  2.12 % binary, 1.66 % real weights
expectation-backprop-digits (not in it)
=========================== ==================================

**Departures.** The sizes of the nets and the number of epochs are ours. h starts uniform in ±``start`` = ±1, not with
variance 1/K: with K = 512 the means of a third layer would start at nothing, and a first epoch would learn nothing.
Two wide hidden layers, as validation preferred them to three of 512.
η falls to ``rate_end``, which is kinder to EBP-D. Pixels are read as 0 to 1, so that black is 0 and adds no variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn.papers.expectation_backprop import ExpectationLinear, probit_loss
from binarynet.nn.quantizers import ExpectedSign
from binarynet.optim import geometric_decay
from binarynet.recipes.networks import Modules, mlp
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive


@dataclass(frozen=True, kw_only=True)
class ExpectationBackprop(Recipe):
    """[linear – sign] × layers – linear, every weight and every sign a probability."""

    paper: ClassVar[str] = "Soudry et al. 2014, NIPS; Cheng et al. 2015, arXiv 1503.03562"
    binarized: ClassVar[str] = "weights and activations, as probabilities in training"
    reported: ClassVar[dict[str, float]] = {"mnist": 2.12}

    width: Count = 512
    layers: Count = 3
    weights: Literal["binary", "real"] = "binary"
    evaluation: Literal["ebp-d", "ebp-p"] = "ebp-d"
    start: Positive = 1.0
    rate: Positive = 1.0
    rate_end: Positive = 0.1

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer)

    def dense(self, k: int, features: int, width: int) -> Modules:
        return {
            f"linear{k}": self.linear(features, width, first=k == 1),
            f"sign{k}": ExpectedSign(self.evaluation),
        }

    def answer(self, features: int, classes: int) -> Modules:
        return {"classes": self.linear(features, classes, first=self.layers == 0)}

    def linear(self, features: int, width: int, first: bool) -> ExpectationLinear:
        layer = ExpectationLinear(
            features,
            width,
            weights=self.weights,
            inputs="values" if first else "means",
            zero=-255.0 if first else 0.0,
            unit=510.0 if first else 1.0,
            evaluation=self.evaluation,
        )
        layer.initialise(self.start)
        return layer

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return probit_loss(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        """The method's own steps, which add up over a batch: the loss is their mean, so they are its size longer."""
        longest = self.rate * self.batch_size
        optimizer = torch.optim.SGD(model.parameters(), lr=longest)
        return optimizer, geometric_decay(optimizer, longest, self.rate_end * self.batch_size, self.epochs)


RECIPES: dict[str, Recipe] = {
    "expectation-backprop-digits": ExpectationBackprop(
        data="digits", epochs=30, batch_size=10, layers=1, rate_end=0.03
    ),
    "expectation-backprop-mnist": ExpectationBackprop(data="mnist", epochs=40, batch_size=100, width=1024, layers=2),
}
