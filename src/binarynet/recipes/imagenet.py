"""What the recipes for ImageNet share: how photographs are cut and normalised, and the schedules of their papers.

O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", arXiv 1409.0575: 1,281,167 training images
of 1000 classes and 50,000 on which papers report, here the test (docs/imagenet.md). None of these recipes was trained
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from binarynet.data import Crops
from binarynet.nn import ByteInput
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Share

TRAINING, TEST, CLASSES = 1_281_167, 50_000, 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FIRST_AT, SHORTER = 224, 256  # what is shown in evaluation: the middle 224 of 256


@dataclass(frozen=True, kw_only=True)
class ImageNet(Recipe):
    """Squares of ``size`` pixels, cut as `Crops` says; softmax cross-entropy, in training with ``smoothing``.

    A smaller ``size`` is for a look: the network sees as much of each photograph, in fewer pixels.
    """

    area: ClassVar[tuple[float, float] | None] = (0.08, 1.0)
    jitter: ClassVar[float] = 0.0
    lighting: ClassVar[float] = 0.0

    size: Count = FIRST_AT
    smoothing: Share = 0.0

    def crops(self) -> Crops:
        return Crops(
            self.size,
            max(self.size, round(self.size * SHORTER / FIRST_AT)),
            self.area,
            jitter=self.jitter,
            lighting=self.lighting,
        )

    def reading(self) -> Mapping[str, Any]:
        return {"crops": self.crops()}

    def pixels(self) -> ByteInput:
        """Bytes, normalised as every network for ImageNet has them."""
        return ByteInput(mean=MEAN, std=STD)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target)

    def training_loss(self, logits: Tensor, target: Tensor, images: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)


def linear_decay(optimizer: Optimizer, epochs: int) -> LambdaLR:
    """A rate that falls in a straight line to 0 after ``epochs``."""
    return LambdaLR(optimizer, lambda epoch: 1 - epoch / epochs)


class Stepped(LambdaLR):
    """Rates by epoch, as the papers list them, stretched from the ``of`` epochs that they list to ``epochs``.

    steps: (first epoch, factor of the rate) in rising order. decay_until: the epoch of theirs from which nothing decays
        the weights any more; None: the optimizer's decay stays.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: Sequence[tuple[int, float]],
        of: int,
        epochs: int,
        decay_until: int | None = None,
    ) -> None:
        self.no_decay_from = None if decay_until is None else decay_until * epochs / of

        def factor(epoch: int) -> float:
            return [rate for first, rate in steps if first * epochs <= epoch * of][-1]

        super().__init__(optimizer, factor)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.no_decay_from is not None and self.last_epoch >= self.no_decay_from:
            for group in self.optimizer.param_groups:
                group["weight_decay"] = 0.0
