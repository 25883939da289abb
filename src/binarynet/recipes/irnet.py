"""IR-Net: signs that keep the information of what they stand for, forwards and backwards.

H. Qin, R. Gong, X. Liu, M. Shen, Z. Wei, F. Yu, J. Song, "Forward and Backward Information Retention for Accurate
Binary Neural Networks", 2020 (arXiv 1909.10788; CVPR 2020).

**Binarized**: weights and inputs of all layers but the first and the last, which have weights of 8 bits. Inputs are
bytes. Real: the latent weights, BatchNorm, the ten answers.

**Forward**   a = sign(BatchNorm(pool(a_before ⋆ 2^s sign(ŵ)))), ŵ = (w − mean) / deviation of each filter,
s = round(log2 mean |ŵ|) (Libra-PB); loss: cross-entropy.
**Backward**  for both signs k t (1 − tanh(t x)²), k = max(1/t, 1), where t rises from ``t_start`` to ``t_end``
geometrically over the epochs (EDE): at first nearly the identity, at last nearly the true derivative.

============= ===========
recipe        reported
============= ===========
irnet-cifar10 9.6 %
irnet-digits  (not in it)
============= ===========

**Departures.** First and last layer have 8-bit weights instead of float ones (``ends=float``), so the file runs on
integers alone. The reported number is the best test epoch of theirs; here the epoch is chosen on validation images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from binarynet.nn import EdeSign
from binarynet.nn.quantizers import LibraSign, Quantizer
from binarynet.recipes.modern import Modern
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import NotNegative, Positive


@dataclass(frozen=True, kw_only=True)
class IrNet(Modern):
    """VGG-small with Libra-PB weights and the error decay estimator."""

    paper: ClassVar[str] = "Qin et al. 2020, arXiv 1909.10788"
    binarized: ClassVar[str] = "weights and activations, but the ends' (8 bits)"
    reported: ClassVar[dict[str, float]] = {"cifar10": 9.6}

    weight_decay: NotNegative = 1e-4
    t_start: Positive = 0.1
    t_end: Positive = 10.0

    def weights(self) -> Quantizer:
        return LibraSign(self.t_start)

    def activation(self) -> Quantizer:
        return EdeSign(self.t_start)

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        for module in model.modules():
            if isinstance(module, LibraSign | EdeSign):
                module.t = self.t_start * (self.t_end / self.t_start) ** (epoch / self.epochs)


RECIPES: dict[str, Recipe] = {
    "irnet-digits": IrNet(data="digits", epochs=40, batch_size=50, filters=16, augmented=False, lr=0.05),
    "irnet-cifar10": IrNet(data="cifar10", epochs=400, batch_size=128),
}
