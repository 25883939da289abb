"""A binary ConvNet for the flash and the speed of a microcontroller.

No paper's network; blocks, estimator and weights are those of Binarized Neural Networks (M. Courbariaux et al. 2016,
arXiv 1602.02830). A comparison: BitNetMCU (github.com/cpldcpu/BitNetMCU) states 0.94 % on MNIST in 5.4 kB and 0.45 % in
11 kB, with activations of 8 to 16 bits.

**Binarized**: all weights, the last layer's too, and all hidden activations, both by the deterministic sign. Inputs
are bytes. Real: the latent weights that training updates, BatchNorm, the ten answers.

**Forward**   64C5 – P2 – 64C3 – P2 – 64C3 – 10FC: each convolution is followed by (pool) – BatchNorm – sign; loss:
cross-entropy with smoothed labels, of logits that BatchNorm scales.
**Backward**  clipped straight-through: the gradient passes where |x| ≤ 1. Adam, whose rate falls as a cosine.

Convolutions have no zeros around the image. A zero is neither +1 nor −1, so outputs at a border would need thresholds
of their own, nine tables instead of one. Filters come in multiples of 32, the outputs that one word of a small chip
counts side by side. Images of training are moved by up to two pixels. `binarynet zoo small-chip` is what it makes.

================ ===========
recipe           reported
================ ===========
small-chip-mnist (no paper)
================ ===========
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.data import pad_crop_flip
from binarynet.errors import RecipeError
from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput, Sequential, SteSign
from binarynet.optim import Adam, cosine_decay, latent_optimizer
from binarynet.recipes.networks import Modules
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive, Share

WEIGHTS = "identity_sign"  # latent weights are clipped to [−1, 1], so the estimator passes every gradient


@dataclass(frozen=True, kw_only=True)
class SmallChip(Recipe):
    """Three convolutions, of ``filters`` and ``kernels``, two pools, one dense layer; ``moved`` pixels of augmentation.

    ``measured_batches``: training batches on which the norms are measured before each validation.
    """

    paper: ClassVar[str] = "none; blocks of Courbariaux et al. 2016, arXiv 1602.02830"
    binarized: ClassVar[str] = "weights and activations, deterministic"

    filters: tuple[Count, Count, Count] = (64, 64, 64)
    kernels: tuple[Count, Count, Count] = (5, 3, 3)
    moved: Natural = 2
    lr: Positive = 1e-3
    smoothing: Share = 0.1
    measured_batches: Natural = 50

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        net: Modules = {"bytes": ByteInput()}
        for k, (filters, kernel) in enumerate(zip(self.filters, self.kernels, strict=True), 1):
            net[f"conv{k}"] = BinaryConv2d(channels, filters, kernel, bias=False, weight_quantizer=WEIGHTS)
            height, width, channels = height - kernel + 1, width - kernel + 1, filters
            if k < len(self.filters):
                net[f"pool{k}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            if min(height, width) < 1:
                raise RecipeError(f"images of {shape[1]} × {shape[2]} pixels are too small for kernels={self.kernels}")
            net[f"norm{k}"] = nn.BatchNorm2d(filters)
            net[f"sign{k}"] = SteSign()
        net["flatten"] = nn.Flatten()
        net["classes"] = BinaryLinear(channels * height * width, classes, bias=False, weight_quantizer=WEIGHTS)
        net["logits"] = nn.BatchNorm1d(classes)
        return Sequential(OrderedDict(net))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr, fused=True)
        return optimizer, cosine_decay(optimizer, self.epochs)

    def norm_batches(self) -> int:
        """Early on signs change faster than the running averages of the norms."""
        return self.measured_batches

    def augment(self, images: Any, rng: Any) -> Any:
        """Moved by up to ``moved`` pixels each way, and never mirrored: a mirrored 2 is none."""
        return pad_crop_flip(images, rng, pad=self.moved, flip=0) if self.moved else images


RECIPES: dict[str, Recipe] = {"small-chip-mnist": SmallChip(data="mnist", epochs=60, batch_size=100)}
