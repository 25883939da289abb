"""Quantized Neural Networks: the training of BNN with k-bit weights and activations, linear or logarithmic.

I. Hubara, M. Courbariaux, D. Soudry, R. El-Yaniv, Y. Bengio, 2016 (arXiv 1609.07061; JMLR 2018).

**Binarized**: all weights to ``weight_bits`` and all hidden activations to ``activation_bits``; one bit is the sign of
BNN. Inputs are bytes. Real: the latent weights, BatchNorm, the ten answers.

**Forward**   a = Q_A(BatchNorm(pool(a_before ⋆ Q_W(W)))), Q = clip(round(x / step) · step, min, max) (``linear``) or
clip(AP2(x), min, max), AP2 the nearest power of two (``log``): products become shifts; loss: squared hinge.
**Backward**  clipped straight-through, where |x| ≤ 1; Glorot step scale and clip to [−1, 1] as in `recipes/bnn.py`.

=========== ===========
recipe      reported
=========== ===========
qnn-mnist   (not in it)
qnn-cifar10 (not in it)
qnn-svhn    (not in it)
qnn-digits  (not in it)
=========== ===========

**Departures.** The quantizers follow second-hand accounts of the paper. Step and range of the quantizers are ours:
signed fixed point in [−1, 1) for ``linear``; for ``log`` a sign and powers 1, 1/2, 1/4, .. with the smallest code
being 0. ``gradient_bits`` uses the quantizer of DoReFa-Net and is off, at 32, by default. Networks, optimizer and the
other departures are those of BNN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from binarynet.nn import BinaryConv2d, BinaryLinear, Quantizer
from binarynet.nn.papers.gradient import GradientQuantizer
from binarynet.nn.quantizers import LinearQuant, LogQuant
from binarynet.recipes.bnn import EPSILON, MOMENTUM, Bnn
from binarynet.recipes.networks import Modules, doubled, mlp, vgg
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count


@dataclass(frozen=True, kw_only=True)
class Qnn(Bnn):
    """BNN's optimizer and loss, QNN's quantizers."""

    paper: ClassVar[str] = "Hubara et al. 2016, arXiv 1609.07061"
    binarized: ClassVar[str] = "weights and activations to k bits, linear or logarithmic"
    reported: ClassVar[dict[str, float]] = {}

    weight_bits: int = 1
    activation_bits: int = 2
    gradient_bits: int = 32
    quantizer: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        most = 8 if self.quantizer == "linear" else 4
        for name in ("weight_bits", "activation_bits"):
            if getattr(self, name) not in range(1, most + 1):
                raise ValueError(f"{name}={getattr(self, name)}: needs 1 to {most} with the {self.quantizer} quantizer")
        if self.gradient_bits not in (*range(1, 9), 32):
            raise ValueError(f"gradient_bits={self.gradient_bits}: needs 1 to 8, or 32 for float")

    def quantized(self, bits: int) -> Quantizer:
        return LinearQuant(bits) if self.quantizer == "linear" else LogQuant(bits)

    def gradient(self, k: int) -> Modules:
        return {} if self.gradient_bits == 32 else {f"gradient{k}": GradientQuantizer(self.gradient_bits)}

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Linear – BatchNorm – activation."""
        return {
            f"linear{k}": self._weights(features, width),
            **self.gradient(k),
            f"norm{k}": nn.BatchNorm1d(width, EPSILON, MOMENTUM),
            f"activation{k}": self.quantized(self.activation_bits),
        }

    def answer(self, features: int, classes: int) -> Modules:
        """Linear – BatchNorm."""
        return {
            "classes": self._weights(features, classes),
            "logits": nn.BatchNorm1d(classes, EPSILON, MOMENTUM),
        }

    def _weights(self, features: int, width: int) -> nn.Module:
        return BinaryLinear(features, width, bias=False, weight_quantizer=self.quantized(self.weight_bits))


@dataclass(frozen=True, kw_only=True)
class QnnMlp(Qnn):
    """[linear – BatchNorm – activation] × layers – linear – BatchNorm."""

    width: Count = 4096
    layers: Count = 3

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer)


@dataclass(frozen=True, kw_only=True)
class QnnConvNet(Qnn):
    """BNN's convolutional net: 2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC."""

    filters: Count = 128
    hidden: Count = 1024

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return vgg(shape, classes, doubled(self.filters), [self.hidden] * 2, self.conv, self.dense, self.answer)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Convolution – (pool) – BatchNorm – activation."""
        weights = self.quantized(self.weight_bits)
        return {
            f"conv{k}": BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=weights),
            **self.gradient(k),
            **pool,
            f"norm{k}": nn.BatchNorm2d(filters, EPSILON, MOMENTUM),
            f"activation{k}": self.quantized(self.activation_bits),
        }


RECIPES: dict[str, Recipe] = {
    "qnn-digits": QnnMlp(data="digits", epochs=30, full_epochs=30, batch_size=50, width=256, lr_end=3e-5),
    "qnn-mnist": QnnMlp(data="mnist", epochs=1000, batch_size=100),
    "qnn-cifar10": QnnConvNet(data="cifar10", epochs=500, full_epochs=500, batch_size=50, lr_start=1e-3),
    "qnn-svhn": QnnConvNet(
        data="svhn", epochs=200, full_epochs=200, batch_size=50, filters=64, lr_start=1e-3, lr_end=1e-6
    ),
}
