"""A good ConvNet of ±1 in as few epochs as possible.

No paper's network. Layers, estimators and the step scale are those of Binarized Neural Networks (M. Courbariaux et al.
2016, arXiv 1602.02830), the network and its first layer are those of the papers after it (VGG-small).

**Binarized**: all weights but the first layer's, which have 8 bits, and all hidden activations, by the deterministic
sign. Inputs are bytes. Real: the latent weights that training updates, BatchNorm, the ten answers.

**Forward**   128C3 – 128C3 – P2 – 2 × 256C3 – P2 – 2 × 512C3 – P2 – 10FC: convolution – (pool) – BatchNorm – sign;
loss: cross-entropy with smoothed labels, of logits that BatchNorm scales.
**Backward**  clipped straight-through: the gradient passes where |x| ≤ 1. Adam, whose rate falls as a cosine.

Four epochs at half the width, of images as they are, ``binarynet train NAME --set width_multiplier=0.5
--set augmented=false --epochs 4 --threads 1``: 23.0 % of the validation images of CIFAR-10 are wrong; of `bnn-cifar10`
27.5 %, in a file 3 times as large.

============= ===========
recipe        reported
============= ===========
quick-cifar10 (no paper)
quick-digits  (no paper)
============= ===========
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import BinaryConv2d, BinaryLinear, SteSign
from binarynet.nn.quantizers import AbsMaxWeight
from binarynet.optim import Adam, cosine_decay, latent_optimizer
from binarynet.recipes.networks import Modules, doubled, vgg_small
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive, Share

WEIGHTS = "identity_sign"  # latent weights are clipped to [−1, 1], so the estimator passes every gradient


@dataclass(frozen=True, kw_only=True)
class Quick(Recipe):
    """VGG-small whose norms and signs are taken together in training, and Adam with the Glorot step scale.

    ``filters`` is the first pair's number; ``augmented`` images are padded by 4, cropped and flipped.
    ``measured_batches``: training batches on which the norms are measured before each validation.
    """

    paper: ClassVar[str] = "none; blocks of Courbariaux et al. 2016, arXiv 1602.02830"
    binarized: ClassVar[str] = "weights and activations, deterministic; first weights 8 bits"

    filters: Count = 128
    width_multiplier: Positive = 1.0
    augmented: bool = True
    lr: Positive = 1e-3
    smoothing: Share = 0.1
    measured_batches: Natural = 50

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return vgg_small(shape, classes, doubled(self.filters, self.width_multiplier), self.conv, self.answer)

    def conv(self, k: int, channels: int, filters: int, pool: Modules) -> Modules:
        """Convolution – (pool) – BatchNorm – sign."""
        weights = WEIGHTS if k > 1 else AbsMaxWeight()
        layer = BinaryConv2d(channels, filters, 3, padding=1, bias=False, weight_quantizer=weights)
        if k == 1:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        return {f"conv{k}": layer, **pool, f"norm{k}": nn.BatchNorm2d(filters), f"sign{k}": SteSign()}

    def answer(self, features: int, classes: int) -> Modules:
        """Binary linear – BatchNorm."""
        return {
            "classes": BinaryLinear(features, classes, bias=False, weight_quantizer=WEIGHTS),
            "logits": nn.BatchNorm1d(classes),
        }

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr, fused=True)
        # The size of 8-bit weights counts, so theirs is no step that is stretched to [−1, 1].
        first = model.get_parameter("conv1.weight")
        for group in optimizer.param_groups:
            group["params"] = [parameter for parameter in group["params"] if parameter is not first]
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        optimizer.add_param_group({"params": [first], "lr": self.lr, "latent": True, "step_scale": 1.0, "clip": 1.0})
        return optimizer, cosine_decay(optimizer, self.epochs)

    def norm_batches(self) -> int:
        """At high rates signs change faster than the running averages of the norms."""
        return self.measured_batches


RECIPES: dict[str, Recipe] = {
    "quick-cifar10": Quick(data="cifar10", epochs=30, batch_size=64),
    "quick-digits": Quick(data="digits", epochs=20, batch_size=50, filters=16, augmented=False),
}
