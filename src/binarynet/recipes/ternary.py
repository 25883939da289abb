"""Ternary weights −1, 0, +1, in three ways: Hwang and Sung's, Ternary Weight Networks, Trained Ternary Quantization.

K. Hwang, W. Sung, 2014, "Fixed-point feedforward deep neural network design using weights +1, 0, and −1" (IEEE SiPS);
F. Li, B. Zhang, B. Liu, 2016 (arXiv 1605.04711), TWN; C. Zhu, S. Han, H. Mao, W. Dally, 2016 (arXiv 1612.01064), TTQ.

**Binarized**: the weights of all layers, to three values. Activations: 3 bits (``hwang-sung``), real (the others).

**Forward**   a = Q(BatchNorm(a_before ⋆ w)); loss: cross-entropy. w = step · t: ``hwang-sung`` fits the step to the
float weights of a first stage and keeps it; ``twn`` drops |W| ≤ 0.7 mean |W| and scales by the mean of the rest, anew
at every step; ``ttq`` drops |W| ≤ 0.05 max |W| and learns one scale for +1, one for −1.
**Backward**  straight through the weights (``ttq``: times their scale); activations: where 0 ≤ x ≤ 1, or ReLU's.

=============== =================
recipe          reported
=============== =================
ternary-mnist   1.45 % hwang-sung
ternary-cifar10 7.44 % twn
ternary-digits  (not in it)
=============== =================

**Departures.** All nets have BatchNorm, Adam and geometric decay, which restarts with the second stage; these are ours.
Hwang and Sung's paper was not at hand: their fit of the steps is followed by a search with the error of the whole net,
which is left out here; the 3-bit signals are a clip to [0, 1] and quantized in both stages; the default width is
hearsay. TTQ's first and last layer are float in the paper: `ends=float`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from binarynet.nn import BinaryConv2d, BinaryLayer, BinaryLinear, ByteInput, Quantizer, latent_weights
from binarynet.nn.quantizers import DorefaActivation, TtqTernary, TwnTernary, UniformLevels
from binarynet.optim import Adam, latent_optimizer
from binarynet.recipes.networks import Modules, doubled, mlp, vgg
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive, Share

EPSILON, MOMENTUM = 1e-4, 0.1  # of BatchNorm


@dataclass(frozen=True, kw_only=True)
class Ternary(Recipe):
    """What the networks share. ``activation_bits``: 1 to 8, 32 for ReLU, 0 for what the method's paper has.

    ``float_share``: the share of the epochs that ``hwang-sung`` trains float weights, before it fits the steps.
    """

    paper: ClassVar[str] = "Hwang and Sung 2014, SiPS; TWN: Li et al. 2016, arXiv 1605.04711; TTQ: arXiv 1612.01064"
    binarized: ClassVar[str] = "weights to -1, 0, +1; activations to 3 bits (hwang-sung) or not"

    method: Literal["hwang-sung", "twn", "ttq"] = "hwang-sung"
    activation_bits: int = 0
    ends: Literal["ternary", "float"] = "ternary"
    float_share: Share = 0.4
    lr_start: Positive = 1e-3
    lr_end: Positive = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation_bits not in (*range(9), 32):
            raise ValueError(f"activation_bits={self.activation_bits}: needs 1 to 8, 32 for float, 0 for the method's")

    @property
    def float_epochs(self) -> int:
        """How many epochs the first stage has; the second has one at least."""
        return min(int(self.float_share * self.epochs), self.epochs - 1) if self.method == "hwang-sung" else 0

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        if epoch < self.float_epochs:
            return
        for _, layer, weight in latent_weights(model):
            quantizer = layer.weight_quantizer
            if isinstance(quantizer, UniformLevels) and not quantizer.fitted:
                quantizer.fit(weight)

    def selectable(self, epoch: int) -> bool:
        return epoch >= self.float_epochs

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start, step_scale=False, clip=None)
        return optimizer, LambdaLR(optimizer, lambda epoch: self._decay(epoch))

    def _decay(self, epoch: int) -> float:
        """Geometric within each stage."""
        begin, end = (0, self.float_epochs) if epoch < self.float_epochs else (self.float_epochs, self.epochs)
        share = (epoch - begin) / max(1, end - begin)
        return float((self.lr_end / self.lr_start) ** share)

    def weights(self) -> Quantizer:
        if self.method == "hwang-sung":
            return UniformLevels(3)
        return TwnTernary() if self.method == "twn" else TtqTernary()

    def activation(self) -> nn.Module:
        bits = self.activation_bits or (3 if self.method == "hwang-sung" else 32)
        return nn.ReLU() if bits == 32 else DorefaActivation(bits)

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Linear – BatchNorm – activation."""
        return {
            f"linear{k}": self.linear(features, width, end=k == 1),
            f"norm{k}": nn.BatchNorm1d(width, EPSILON, MOMENTUM),
            f"activation{k}": self.activation(),
        }

    def answer(self, features: int, classes: int) -> Modules:
        return {"classes": self.linear(features, classes, end=True, bias=True)}

    def linear(self, features: int, width: int, end: bool = False, bias: bool = False) -> nn.Module:
        if end and self.ends == "float":
            return nn.Linear(features, width, bias)
        return _started(BinaryLinear(features, width, bias, weight_quantizer=self.weights()))


@dataclass(frozen=True, kw_only=True)
class TernaryMlp(Ternary):
    """drop – [linear – BatchNorm – activation – drop] × layers – linear; ``dropout`` is (input, hidden)."""

    reported: ClassVar[dict[str, float]] = {"mnist": 1.45}

    width: Count = 1022
    layers: Count = 3
    dropout: tuple[Share, Share] = (0.0, 0.0)

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        head: Modules = {"bytes": ByteInput(scale=1 / 255), "drop": nn.Dropout(self.dropout[0])}
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer, head=head)

    def dense(self, k: int, features: int, width: int) -> Modules:
        return super().dense(k, features, width) | {f"drop{k}": nn.Dropout(self.dropout[1])}


@dataclass(frozen=True, kw_only=True)
class TernaryConvNet(Ternary):
    """2 × 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 1024FC – 10FC: TWN's VGG-7, as commonly described.

    ``augmented`` images are padded by 4, cropped and flipped.
    """

    reported: ClassVar[dict[str, float]] = {"cifar10": 7.44}

    filters: Count = 128
    hidden: Count = 1024
    augmented: bool = True

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        head: Modules = {"bytes": ByteInput(scale=1 / 255)}
        return vgg(shape, classes, doubled(self.filters), [self.hidden], self.conv, self.dense, self.answer, head=head)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Convolution – (pool) – BatchNorm – activation."""
        return {
            f"conv{k}": self._conv(channels, filters, end=k == 1),
            **pool,
            f"norm{k}": nn.BatchNorm2d(filters, EPSILON, MOMENTUM),
            f"activation{k}": self.activation(),
        }

    def _conv(self, channels: int, filters: int, end: bool) -> nn.Module:
        if end and self.ends == "float":
            return nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        return _started(BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=self.weights()))


def _started(layer: BinaryLayer) -> BinaryLayer:
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return layer


RECIPES: dict[str, Recipe] = {
    "ternary-digits": TernaryMlp(data="digits", epochs=40, batch_size=32, width=256),
    "ternary-mnist": TernaryMlp(data="mnist", epochs=100, batch_size=100),
    "ternary-cifar10": TernaryConvNet(data="cifar10", epochs=160, batch_size=100, method="twn"),
}
