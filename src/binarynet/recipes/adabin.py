"""AdaBin: the two values of a weight and of an activation lie where the numbers lie, not around 0.

Z. Tu, X. Chen, P. Ren, Y. Wang, "AdaBin: Improving Binary Neural Networks with Adaptive Binary Sets", 2022
(arXiv 2208.08084; ECCV 2022).

**Binarized**: weights and inputs of all layers but the first and the last, which have weights of 8 bits. Inputs are
bytes. Real: the latent weights, the pairs of values, BatchNorm, the ten answers.

**Forward**   a = α_a sign((x − β_a) / α_a) + β_a, x = BatchNorm(pool(a_before ⋆ (α sign(w − β) + β))); β is the mean of
a filter, α its deviation; α_a and β_a are learnt for each layer. Loss: cross-entropy.
**Backward**  weights: through α, β and, with k t (1 − tanh(t ŵ)²), k = max(1/t, 1), through the sign, where t rises
from ``t_start`` to ``t_end`` geometrically over the epochs; activations: 1 where |x − β_a| ≤ α_a, and to α_a, β_a.

============== ===========
recipe         reported
============== ===========
adabin-cifar10 7.7 %
adabin-digits  (not in it)
============== ===========

**Lowered**, products are those of bits, one filter of ones more in each layer; α and β join them as real numbers
(`fold/pairs.py`).

**Departures.** First and last layer have 8-bit weights instead of float ones (``ends=float``). Activations are
α sign + β as in the article; the authors' code has α (sign + β). Their Maxout, a slope on each side of 0, is left
out. The reported number is the best test epoch of theirs; here the epoch is chosen on validation images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from binarynet.nn.quantizers import AdaBinActivation, AdaBinWeight, Quantizer
from binarynet.recipes.modern import Modern
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Natural, Positive


@dataclass(frozen=True, kw_only=True)
class AdaBin(Modern):
    """VGG-small with adaptive pairs of values."""

    paper: ClassVar[str] = "Tu et al. 2022, arXiv 2208.08084"
    binarized: ClassVar[str] = "weights and activations, but the ends' (8 bits)"
    reported: ClassVar[dict[str, float]] = {"cifar10": 7.7}

    warmup: Natural = 5
    t_start: Positive = 0.1
    t_end: Positive = 10.0

    def weights(self) -> Quantizer:
        return AdaBinWeight(self.t_start)

    def activation(self) -> Quantizer:
        return AdaBinActivation()

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        for module in model.modules():
            if isinstance(module, AdaBinWeight):
                module.t = self.t_start * (self.t_end / self.t_start) ** (epoch / self.epochs)


RECIPES: dict[str, Recipe] = {
    "adabin-digits": AdaBin(data="digits", epochs=40, batch_size=50, filters=16, augmented=False, lr=0.05),
    "adabin-cifar10": AdaBin(data="cifar10", epochs=400, batch_size=256),
}
