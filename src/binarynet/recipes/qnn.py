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

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput, Quantizer, Sequential
from binarynet.nn.papers.gradient import GradientQuantizer
from binarynet.nn.quantizers import LinearQuant, LogQuant
from binarynet.recipes.bnn import EPSILON, MOMENTUM, Bnn
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

    def gradient(self, k: int) -> dict[str, nn.Module]:
        return {} if self.gradient_bits == 32 else {f"gradient{k}": GradientQuantizer(self.gradient_bits)}

    def linear(self, k: int, features: int, width: int) -> dict[str, nn.Module]:
        """linear – BatchNorm – activation, or without the activation for the classes."""
        return {
            f"linear{k}": self._weights(features, width),
            **self.gradient(k),
            f"norm{k}": nn.BatchNorm1d(width, EPSILON, MOMENTUM),
            f"activation{k}": self.quantized(self.activation_bits),
        }

    def classes(self, features: int, classes: int) -> dict[str, nn.Module]:
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
        features = shape[0] * shape[1] * shape[2]
        net: dict[str, nn.Module] = {"flatten": nn.Flatten(), "bytes": ByteInput()}
        for k in range(1, self.layers + 1):
            net |= self.linear(k, features, self.width)
            features = self.width
        return Sequential(OrderedDict(net | self.classes(features, classes)))


@dataclass(frozen=True, kw_only=True)
class QnnConvNet(Qnn):
    """BNN's convolutional net: 2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 1024FC – 10FC."""

    filters: Count = 128
    hidden: Count = 1024

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        net: dict[str, nn.Module] = {"bytes": ByteInput()}
        for k in range(1, 7):
            filters = self.filters * 2 ** ((k - 1) // 2)
            weights = self.quantized(self.weight_bits)
            net[f"conv{k}"] = BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=weights)
            net |= self.gradient(k)
            if k % 2 == 0:
                net[f"pool{k}"] = nn.MaxPool2d(2)
            net[f"norm{k}"] = nn.BatchNorm2d(filters, EPSILON, MOMENTUM)
            net[f"activation{k}"] = self.quantized(self.activation_bits)
            channels = filters
        net["flatten"] = nn.Flatten()
        features = channels * (height // 8) * (width // 8)
        for k in (7, 8):
            net |= self.linear(k, features, self.hidden)
            features = self.hidden
        return Sequential(OrderedDict(net | self.classes(features, classes)))


RECIPES: dict[str, Recipe] = {
    "qnn-digits": QnnMlp(data="digits", epochs=30, full_epochs=30, batch_size=50, width=256, lr_end=3e-5),
    "qnn-mnist": QnnMlp(data="mnist", epochs=1000, batch_size=100),
    "qnn-cifar10": QnnConvNet(data="cifar10", epochs=500, full_epochs=500, batch_size=50, lr_start=1e-3),
    "qnn-svhn": QnnConvNet(
        data="svhn", epochs=200, full_epochs=200, batch_size=50, filters=64, lr_start=1e-3, lr_end=1e-6
    ),
}
