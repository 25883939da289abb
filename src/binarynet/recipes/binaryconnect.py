"""BinaryConnect: weights constrained to +1 or −1 during propagation, activations real.

M. Courbariaux, Y. Bengio, J.-P. David, 2015 (arXiv 1511.00363; NeurIPS 2015), in the settings of the authors'
Theano code.

**Binarized**: all weights, the last layer's too, by the sign or drawn at random. Real: ReLU activations (W1A32),
the latent weights that training updates, BatchNorm. Inputs are bytes.

**Forward**   a = ReLU(BatchNorm(pool(a_before ⋆ Wb))), last layer without ReLU; loss: squared hinge.
``weights=deterministic``: Wb = sign(W). ``weights=stochastic``: Wb = +1 with probability clip((W + 1) / 2, 0, 1).
**Backward**  the gradient of Wb is applied to W. W ← clip(W + scale · step, −1, 1) with Glorot's scale.

**At test time** ``test_weights`` chooses one of three networks, since the paper's texts mean different ones:

``binary``   sign(W), one bit a weight.
``real``     W itself, 32 bits. The authors' code uses it after stochastic training, so the 8.27 % and 2.15 % below are
             not of a binary network.
``sampled``  one binary network, drawn once.

BatchNorm's statistics are those of the weights of training. Deterministic training shows it sign(W), so ``real`` does
not fit. Stochastic training shows it draws whose mean is W, so ``binary`` and ``sampled`` do not fit as long as few
weights have reached ±1, as in short runs; see Departures.

===================== ======================= ===============
recipe                reported, deterministic stochastic
===================== ======================= ===============
binaryconnect-mnist   1.29 %                  (see paper)
binaryconnect-cifar10 9.90 %                  8.27 % (real W)
binaryconnect-svhn    2.30 %                  2.15 % (real W)
binaryconnect-digits  (not in it)             (not in it)
===================== ======================= ===============

**Departures.** The network and rates for MNIST are those of the script in the authors' repository, which says that
it is not the article's experiment. CIFAR-10 and SVHN are bytes by default; ``preprocessing=gcn_zca`` and ``gcn_lcn``
are what they were there, where whitening learns from the images of validation, too: here from those of training.
BatchNorm averages variances and adds ε to them (the authors' own layer: deviations). No bias before a BatchNorm. With
stochastic weights and `binary` or `sampled` ones at test, BatchNorm's statistics are measured anew before each
validation, on ``measured_batches`` training batches with the weights of evaluation (0: running averages, as theirs).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryConv2d, BinaryLinear, squared_hinge
from binarynet.nn.quantizers import BinaryConnect
from binarynet.optim import Adam, geometric_decay, latent_optimizer
from binarynet.recipes.networks import Modules, doubled, mlp, scaled, vgg
from binarynet.recipes.preprocessing import Preprocessing, head, prepare
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive

EPSILON = 1e-4  # of BatchNorm


@dataclass(frozen=True, kw_only=True)
class BinaryConnectNet(Recipe):
    """What the paper's networks share: the weights, Adam with the Glorot step scale, geometric decay."""

    paper: ClassVar[str] = "Courbariaux et al. 2015, arXiv 1511.00363"
    binarized: ClassVar[str] = "weights, deterministic or stochastic (W1A32)"

    weights: Literal["deterministic", "stochastic"] = "deterministic"
    test_weights: Literal["binary", "real", "sampled"] = "binary"
    lr_start: Positive = 1e-3
    lr_end: Positive = 3e-6
    momentum: Positive = 0.1  # of BatchNorm's running statistics
    measured_batches: Natural = 100

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start)
        return optimizer, geometric_decay(optimizer, self.lr_start, self.lr_end, self.epochs)

    def norm_batches(self) -> int:
        """Drawn weights are not those of evaluation, unless that is their mean, as `real` is."""
        return self.measured_batches if self.weights == "stochastic" and self.test_weights != "real" else 0

    @property
    @abstractmethod
    def depth(self) -> int:
        """How many layers with weights there are."""

    def quantizer(self, layer: int) -> BinaryConnect:
        """The weight quantizer of a layer; its number makes the draws of `sampled` independent."""
        return BinaryConnect(self.weights == "stochastic", self.test_weights, seed=layer)

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Binary linear – BatchNorm – ReLU, as modules of number k."""
        return {
            f"linear{k}": BinaryLinear(features, width, bias=False, weight_quantizer=self.quantizer(k)),
            f"norm{k}": nn.BatchNorm1d(width, EPSILON, self.momentum),
            f"relu{k}": nn.ReLU(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        """Binary linear – BatchNorm."""
        return {
            "classes": BinaryLinear(features, classes, bias=False, weight_quantizer=self.quantizer(self.depth)),
            "logits": nn.BatchNorm1d(classes, EPSILON, self.momentum),
        }


@dataclass(frozen=True, kw_only=True)
class BinaryConnectMlp(BinaryConnectNet):
    """[binary linear – BatchNorm – ReLU] × layers – binary linear – BatchNorm."""

    reported: ClassVar[dict[str, float]] = {"mnist": 1.29}

    width: Count = 2048
    layers: Count = 3

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer)

    @property
    def depth(self) -> int:
        return self.layers + 1


@dataclass(frozen=True, kw_only=True)
class BinaryConnectConvNet(BinaryConnectNet):
    """2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC, each with BatchNorm and ReLU.

    Order: convolution (3 × 3, zeros outside) – pool – BatchNorm – ReLU. ``filters`` is the first pair's number;
    ``width_multiplier`` shrinks or widens the whole net. ``preprocessing``: see `recipes/preprocessing.py`.
    """

    reported: ClassVar[dict[str, float]] = {"cifar10": 9.90, "svhn": 2.30}

    filters: Count = 128
    hidden: Count = 1024
    width_multiplier: Positive = 1.0
    preprocessing: Preprocessing = "none"

    depth = 9

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        filters, hidden = doubled(self.filters, self.width_multiplier), scaled(self.hidden, self.width_multiplier)
        before = head(self.preprocessing, shape)
        return vgg(shape, classes, filters, [hidden] * 2, self.conv, self.dense, self.answer, head=before)

    def prepare(self, model: nn.Module, images: np.ndarray) -> None:
        prepare(model, images)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Binary convolution – (pool) – BatchNorm – ReLU."""
        return {
            f"conv{k}": BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=self.quantizer(k)),
            **pool,
            f"norm{k}": nn.BatchNorm2d(filters, EPSILON, self.momentum),
            f"relu{k}": nn.ReLU(),
        }


RECIPES: dict[str, Recipe] = {
    "binaryconnect-digits": BinaryConnectMlp(data="digits", epochs=20, batch_size=50, width=256, lr_end=3e-5),
    "binaryconnect-mnist": BinaryConnectMlp(data="mnist", epochs=250, batch_size=100, momentum=0.15),
    "binaryconnect-cifar10": BinaryConnectConvNet(
        data="cifar10", epochs=500, batch_size=50, lr_start=3e-3, lr_end=2e-6
    ),
    "binaryconnect-svhn": BinaryConnectConvNet(data="svhn", epochs=200, batch_size=50, filters=64, lr_start=1e-2),
}
