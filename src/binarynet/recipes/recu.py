"""ReCU: weights far outside, which hardly ever flip, are brought back to where they can.

Z. Xu, M. Lin, J. Liu, J. Chen, L. Shao, Y. Gao, Y. Tian, R. Ji, "ReCU: Reviving the Dead Weights in Binary Neural
Networks", 2021 (arXiv 2103.12369; ICCV 2021).

**Binarized**: weights and inputs of all layers but the first and the last, which have weights of 8 bits. Inputs are
bytes. Real: the latent weights, BatchNorm, the ten answers.

**Forward**   a = sign(BatchNorm(pool(a_before ⋆ sign(ŵ)))), ŵ = (w − mean) / deviation of each filter, clipped to its
quantiles 1 − τ and τ; loss: cross-entropy.
**Backward**  weights: through ŵ, 1 inside the quantiles; activations: 2 − 2|x| where |x| ≤ 1. τ rises from
``tau_start`` to ``tau_end`` over the epochs, geometrically.

============ ===========
recipe       reported
============ ===========
recu-cifar10 7.8 %
recu-digits  (not in it)
============ ===========

**Departures.** First and last layer have 8-bit weights instead of float ones (``ends=float``). The learned scale of
each filter is left to BatchNorm, which has one. Activations are not divided by their deviation in training. The
reported number is the best test epoch of theirs (6.7 % after fine-tuning); here the epoch is chosen by validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from binarynet.nn import ApproxSign
from binarynet.nn.quantizers import Quantizer, RecuSign
from binarynet.recipes.modern import Modern
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Natural, Share


@dataclass(frozen=True, kw_only=True)
class Recu(Modern):
    """VGG-small with rectified clamp units on its weights."""

    paper: ClassVar[str] = "Xu et al. 2021, arXiv 2103.12369"
    binarized: ClassVar[str] = "weights and activations, but the ends' (8 bits)"
    reported: ClassVar[dict[str, float]] = {"cifar10": 7.8}

    warmup: Natural = 5
    tau_start: Share = 0.85
    tau_end: Share = 0.99

    def weights(self) -> Quantizer:
        return RecuSign(self.tau_start)

    def activation(self) -> Quantizer:
        return ApproxSign()

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        for module in model.modules():
            if isinstance(module, RecuSign):
                module.tau = self.tau_start * (self.tau_end / self.tau_start) ** (epoch / self.epochs)


RECIPES: dict[str, Recipe] = {
    "recu-digits": Recu(data="digits", epochs=40, batch_size=50, filters=16, augmented=False, lr=0.05),
    "recu-cifar10": Recu(data="cifar10", epochs=600, batch_size=256),
}
