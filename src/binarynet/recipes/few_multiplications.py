"""Neural Networks with Few Multiplications: weights drawn from ±W0 (or ±W0 and 0), shifts in the weight gradients.

Z. Lin, M. Courbariaux, R. Memisevic, Y. Bengio, 2015 (arXiv 1510.03009; ICLR 2016), in the settings of the first
author's Theano code.

**Binarized**: all weights, drawn anew for every training batch: two values, or three with ``weights=ternary``. Real:
ReLU activations (W1A32), latent weights, BatchNorm. Inputs are bytes.

**Forward**   a = ReLU(BatchNorm(pool(a_before ⋆ Wb))), last layer without ReLU. Binary: Wb = +W0 with probability
clip((W / W0 + 1) / 2, 0, 1), else −W0. Ternary: Wb = W0 sgn(W) with probability |W| / W0, else 0. Both have mean W.
W0 = sqrt(1.5 / (fan in + fan out)). Loss: squared hinge, summed over the classes.
**Backward**  dL/dW = δᵀ x_q, where x_q is the layer's input rounded at random, without bias, to powers of two from
2^low to 2^high (or 0); ``quantized_backprop=false`` leaves x. SGD without momentum; W ← clip(W − lr dL/dW, −W0, W0).

**At test time** the authors' code, and so the numbers below, use the real W; that is ``test_weights=real``, 32 bits.
``quantized`` (here the default) is the nearest of the two or three values, 1 or 2 bits; ``sampled`` one network drawn
once. Short runs, in which few weights have reached ±W0, lose most by ``sampled`` and least by ``real``.

=========================== ===================== =================
recipe                      reported, binary      reported, ternary
=========================== ===================== =================
few-multiplications-mnist   1.29 % (1.33 float)   1.15 %
few-multiplications-cifar10 12.08 % (15.64 float) 12.01 %
few-multiplications-svhn    2.48 % (2.85 float)   2.42 %
few-multiplications-digits  (not in it)           (not in it)
=========================== ===================== =================

**Departures.** Inputs x below 2^low become 2^low or 0 without bias, and 0 stays 0 (the code: 2^low always). The code
clips exponents in convolutions only; here in all layers. BatchNorm's statistics for evaluation are measured, with the
weights of evaluation, on ``measured_batches`` training batches instead of all (0: running averages). The fan out of a
convolution is not divided by the pool's area. Images are bytes by default; ``preprocessing=gcn_zca`` is what the code's
CIFAR-10 had, ``gcn_lcn`` what BinaryConnect's SVHN had, whose script theirs follows.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryLayer, ByteInput, Sequential, squared_hinge
from binarynet.nn.papers.few_multiplications import FewMultiplicationsConv2d, FewMultiplicationsLinear
from binarynet.nn.quantizers import BinaryConnect, TernaryConnect
from binarynet.optim import SGD, geometric_decay, glorot_scale, latent_optimizer
from binarynet.recipes.networks import Modules, mlp
from binarynet.recipes.preprocessing import Preprocessing, head, prepare
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive


@dataclass(frozen=True, kw_only=True)
class FewMultiplications(Recipe):
    """What the paper's networks share: how weights are drawn, gradients quantized and steps made."""

    paper: ClassVar[str] = "Lin et al. 2016, arXiv 1510.03009"
    binarized: ClassVar[str] = "weights, stochastic, ±W0 or ternary (W1A32, W2A32)"

    weights: Literal["binary", "ternary"] = "binary"
    test_weights: Literal["quantized", "real", "sampled"] = "quantized"
    quantized_backprop: bool = True
    exponents: tuple[int, int] = (-4, 4)
    measured_batches: Natural = 100
    lr_start: Positive = 0.3
    lr_end: Positive = 0.01

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target) * logits.shape[1]  # the sum over the classes

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(SGD, model, lr=self.lr_start, step_scale=False, clip="glorot")
        return optimizer, geometric_decay(optimizer, self.lr_start, self.lr_end, self.epochs)

    def norm_batches(self) -> int:
        return self.measured_batches

    def connect(self, model: nn.Sequential) -> nn.Module:
        """Give every layer its W0, latent weights uniform in ±2 W0 as in the code, and its own draws."""
        layers = [layer for layer in model if isinstance(layer, BinaryLayer)]
        for seed, layer in enumerate(layers):
            w0 = 1 / glorot_scale(layer)
            nn.init.uniform_(layer.weight, -2 * w0, 2 * w0)
            layer.weight_quantizer = self._quantizer(w0, seed)
        return model

    def _quantizer(self, w0: float, seed: int) -> BinaryConnect:
        quantizer = BinaryConnect if self.weights == "binary" else TernaryConnect
        at_test = self.weights if self.test_weights == "quantized" else self.test_weights
        return quantizer(True, at_test, limit=w0, seed=seed)

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Linear – BatchNorm – ReLU."""
        return {
            f"linear{k}": self.linear(features, width),
            f"norm{k}": nn.BatchNorm1d(width),
            f"relu{k}": nn.ReLU(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        """Linear – BatchNorm."""
        return {"classes": self.linear(features, classes), "logits": nn.BatchNorm1d(classes)}

    def linear(self, features: int, width: int) -> nn.Module:
        exponents = self.exponents if self.quantized_backprop else None
        return FewMultiplicationsLinear(features, width, bias=False, exponents=exponents)

    def conv(self, channels: int, filters: int, kernel: int) -> nn.Module:
        exponents = self.exponents if self.quantized_backprop else None
        return FewMultiplicationsConv2d(channels, filters, kernel, bias=False, exponents=exponents)


@dataclass(frozen=True, kw_only=True)
class FewMultiplicationsMlp(FewMultiplications):
    """[linear – BatchNorm – ReLU] × layers – linear – BatchNorm."""

    reported: ClassVar[dict[str, float]] = {"mnist": 1.29}

    width: Count = 1024
    layers: Count = 3

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        # Inputs in [-1, 1], as the exponents are made for numbers of the size of 1.
        head: Modules = {"bytes": ByteInput(scale=1 / 255)}
        return self.connect(mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer, head=head))


@dataclass(frozen=True, kw_only=True)
class FewMultiplicationsConvNet(FewMultiplications):
    """2 × 128C3 – P2 – 2 × 256C2 – P2 – 2 × 512C2 – P2 – 1024C2 – 1024FC – 10FC, each with BatchNorm and ReLU.

    Convolutions without padding; order: convolution – pool – BatchNorm – ReLU. ``filters`` is the first pair's
    number; images must be at least 32 pixels wide and high. The paper's network for CIFAR-10 and for SVHN.
    ``preprocessing``: see `recipes/preprocessing.py`.
    """

    reported: ClassVar[dict[str, float]] = {"cifar10": 12.08, "svhn": 2.48}

    filters: Count = 128
    hidden: Count = 1024
    preprocessing: Preprocessing = "none"

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        net = head(self.preprocessing, shape, scale=1 / 255)
        for k in range(1, 8):
            filters, kernel = self.filters * 2 ** ((k - 1) // 2), 3 if k <= 2 else 2
            net[f"conv{k}"] = self.conv(channels, filters, kernel)
            height, width = height - kernel + 1, width - kernel + 1
            if k % 2 == 0:
                net[f"pool{k}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            net[f"norm{k}"] = nn.BatchNorm2d(filters)
            net[f"relu{k}"] = nn.ReLU()
            channels = filters
        net["flatten"] = nn.Flatten()
        net |= self.dense(8, channels * height * width, self.hidden) | self.answer(self.hidden, classes)
        return self.connect(Sequential(OrderedDict(net)))

    def prepare(self, model: nn.Module, images: np.ndarray) -> None:
        prepare(model, images)


RECIPES: dict[str, Recipe] = {
    "few-multiplications-digits": FewMultiplicationsMlp(data="digits", epochs=30, batch_size=50, width=256),
    "few-multiplications-mnist": FewMultiplicationsMlp(data="mnist", epochs=1000, batch_size=200),
    "few-multiplications-cifar10": FewMultiplicationsConvNet(data="cifar10", epochs=300, batch_size=100, lr_end=0.001),
    "few-multiplications-svhn": FewMultiplicationsConvNet(data="svhn", epochs=60, batch_size=100, lr_end=0.001),
}
