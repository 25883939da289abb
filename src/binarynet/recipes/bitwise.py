"""Bitwise Neural Networks: first a network squashed by tanh everywhere, then noisy backpropagation from it in bits.

M. Kim, P. Smaragdis, 2016 (arXiv 1601.06071).

**Binarized**: weights to −1, 0, +1; biases, activations and inputs to ±1 (pixels from 128 on are +1).

**Forward**   stage 1: z = tanh(tanh(b) + Σ tanh(w) z_before). Stage 2: z = sign(sign(b) + Σ q(w) z_before), where
q(w) = sign(w) if |w| ≥ β, else 0; β is the λ-quantile of |w| in each layer (``sparsity``), found anew in every epoch.
The last layer has no sign.
**Backward**  stage 1: the true gradient. Stage 2 starts from its weights; straight-through for weights and biases,
1 − tanh(a / s)² for a neuron with the sum a.

============== ===========
recipe         reported
============== ===========
bitwise-mnist  1.33 %
bitwise-digits (not in it)
============== ===========

**Departures.** ``norm=true`` puts a BatchNorm in the place of each bias, as the group's later code does; it is folded
into the thresholds, and latent weights are kept in ±1. Sums are then of the size of 1, and s is ``window``. Without
norms s is ``window`` · √K for K inputs, not 1: sums of K numbers ±1 are of that size, and with s = 1 next to no
gradient reached the first of three layers of 512. Loss (cross-entropy, without norms of sums / √K), Adam, dropout,
their rates and the share of the epochs that stage 1 gets (``compression``) are ours.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from binarynet.nn import ByteInput, IdentitySign
from binarynet.nn.papers.bitwise import BitwiseLinear, BitwiseNet
from binarynet.nn.quantizers import BitwiseSign
from binarynet.optim import Adam, latent_optimizer
from binarynet.recipes.networks import Modules, mlp
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Bitwise(Recipe):
    """drop – [bitwise linear – sign – drop] × layers – bitwise linear; ``dropout`` is (input, hidden).

    In each stage the rate falls geometrically, from ``lr_compression`` or ``lr_bitwise`` by the factor ``lr_fall``.
    """

    paper: ClassVar[str] = "Kim and Smaragdis 2016, arXiv 1601.06071"
    binarized: ClassVar[str] = "weights to -1, 0, +1; biases, activations and inputs to ±1"
    reported: ClassVar[dict[str, float]] = {"mnist": 1.33}

    width: Count = 1024
    layers: Count = 3
    sparsity: Share = 0.3
    norm: bool = False
    window: Positive = 0.7
    compression: Share = 0.5
    dropout: tuple[Share, Share] = (0.1, 0.1)
    lr_compression: Positive = 2e-3
    lr_bitwise: Positive = 1e-3
    lr_fall: Positive = 0.03

    @property
    def compression_epochs(self) -> int:
        """How many epochs stage 1 has; stage 2 has one at least."""
        return min(round(self.compression * self.epochs), self.epochs - 1)

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        assert isinstance(model, BitwiseNet)
        model.enter(1 if epoch < self.compression_epochs else 2)

    def selectable(self, epoch: int) -> bool:
        return epoch >= self.compression_epochs

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        head: Modules = {"bytes": ByteInput(), "pixels": IdentitySign(), "drop": nn.Dropout(self.dropout[0])}
        net = mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer, head=head)
        return BitwiseNet(OrderedDict(net.named_children()))

    def dense(self, k: int, features: int, width: int) -> Modules:
        return {
            **self._linear(f"linear{k}", f"norm{k}", features, width),
            f"sign{k}": BitwiseSign(self.window if self.norm else self.window * math.sqrt(features)),
            f"drop{k}": nn.Dropout(self.dropout[1]),
        }

    def answer(self, features: int, classes: int) -> Modules:
        return self._linear("classes", "logits", features, classes)

    def _linear(self, name: str, norm: str, features: int, width: int) -> Modules:
        layer = BitwiseLinear(features, width, sparsity=self.sparsity, biased=not self.norm)
        return {name: layer} | ({norm: nn.BatchNorm1d(width)} if self.norm else {})

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits if self.norm else logits / math.sqrt(self.width), target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        clip = 1.0 if self.norm else None
        optimizer = latent_optimizer(Adam, model, lr=self.lr_compression, step_scale=False, clip=clip)
        return optimizer, LambdaLR(optimizer, self._rate)

    def _rate(self, epoch: int) -> float:
        """The rate of an epoch as a multiple of ``lr_compression``."""
        first = self.compression_epochs
        if epoch < first:
            return float(self.lr_fall ** (epoch / first))
        share = (epoch - first) / (self.epochs - first)
        return float(self.lr_bitwise / self.lr_compression * self.lr_fall**share)


RECIPES: dict[str, Recipe] = {
    "bitwise-digits": Bitwise(
        data="digits", epochs=40, batch_size=50, width=256, layers=2, dropout=(0.1, 0.3), lr_compression=5e-3
    ),
    "bitwise-mnist": Bitwise(data="mnist", epochs=200, batch_size=100, norm=True, window=1.0, dropout=(0.0, 0.0)),
}
