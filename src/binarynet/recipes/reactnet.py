"""ReActNet: signs and PReLUs whose places in every channel are learnt.

Z. Liu, Z. Shen, M. Savvides, K.-T. Cheng, "ReActNet: Towards Precise Binary Neural Network with Generalized Activation
Functions", 2020 (arXiv 2003.03488; ECCV 2020).

**Binarized**: weights and inputs of all 3 × 3 convolutions but the first. Real: what flows along the shortcuts. The
first layer has weights of 8 bits; it reads bytes. The last one and the 1 × 1 convolutions of shortcuts are real.

**Forward**   x_next = RPReLU(BatchNorm(sign(x + s) ⋆ α sign(W)) + x), α = mean |W| of each filter, s a shift of each
channel, RPReLU(x) = PReLU(x − γ) + ζ with γ, ζ and a slope of each channel. Where the image is halved, the shortcut is
average pool – 1 × 1 convolution – BatchNorm. Loss: cross-entropy; ``teacher=RUN`` has a float net taught.
**Backward**  sign by ApproxSign, 2 − 2|x| where |x| ≤ 1; weights α where |W| ≤ 1.

================ ===========
recipe           reported
================ ===========
reactnet-cifar10 (not in it)
reactnet-digits  (not in it)
================ ===========

The paper's numbers are for ImageNet: `recipes/reactnet_imagenet.py`.

**Departures.** Small images, so ResNet-18's blocks without the pool of its stem. All is binary from the start; the
paper's first step is ``weights=float``, the second one takes that run as ``weights_from``. The gradient of a weight is
that of Bi-Real Net, α times the paper's, which Adam divides out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.nn import ApproxSign, BinaryConv2d, ByteInput, LearnableShift, RPReLU, Sequential
from binarynet.nn.quantizers import AbsMaxWeight, MagnitudeAwareSign
from binarynet.recipes.imagenet import linear_decay
from binarynet.recipes.networks import Modules, resnet
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, NotNegative, Positive, Share


class ReActBlock(nn.Module):
    """RPReLU(product(x) + shortcut(x)): x (n, channels, h, w) → (n, filters, h / stride, w / stride)."""

    def __init__(self, product: nn.Module, shortcut: nn.Module, filters: int) -> None:
        super().__init__()
        self.product, self.shortcut, self.activation = product, shortcut, RPReLU(filters)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.product(x) + self.shortcut(x))
        return y


@dataclass(frozen=True, kw_only=True)
class ReAct(Recipe):
    """What the networks share: product, Adam with a rate that falls in a straight line, decay of the kernels alone."""

    paper: ClassVar[str] = "Liu et al. 2020, arXiv 2003.03488"
    binarized: ClassVar[str] = "weights, and activations but for the shortcuts"

    weights: Literal["binary", "float"] = "binary"
    lr: Positive = 1.25e-3
    weight_decay: NotNegative = 0.0

    def product(self, channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Module:
        """Shift – sign – binary convolution – BatchNorm."""
        quantizer = MagnitudeAwareSign() if self.weights == "binary" else None
        window: dict[str, Any] = {"padding": kernel // 2, "bias": False, "weight_quantizer": quantizer}
        conv = BinaryConv2d(channels, filters, kernel, stride, **window)
        return Sequential(LearnableShift(channels), ApproxSign(), conv, nn.BatchNorm2d(filters))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
        others = [parameter for parameter in model.parameters() if parameter.ndim != 4]
        groups: list[dict[str, Any]] = [{"params": others}, {"params": kernels, "weight_decay": self.weight_decay}]
        optimizer = Adam(groups, lr=self.lr)
        return optimizer, linear_decay(optimizer, self.epochs)


@dataclass(frozen=True, kw_only=True)
class ReActNet(ReAct):
    """Convolution – BatchNorm – ``blocks`` × ``stages`` – global average – linear."""

    filters: Count = 64
    stages: Count = 4
    blocks: Count = 4
    augmented: bool = True
    smoothing: Share = 0.1

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        stem: Modules = {
            "bytes": ByteInput(1 / 255),
            "stem": BinaryConv2d(shape[0], self.filters, 3, padding=1, bias=False, weight_quantizer=AbsMaxWeight()),
            "stem_norm": nn.BatchNorm2d(self.filters),
        }
        return resnet(stem, self.filters, [self.blocks] * self.stages, self.block, self.answer, classes)

    def block(self, channels: int, filters: int, stride: int) -> nn.Module:
        halving = Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters))
        shortcut = nn.Identity() if stride == 1 else halving
        return ReActBlock(self.product(channels, filters, 3, stride), shortcut, filters)

    def answer(self, features: int, classes: int) -> Modules:
        return {"classes": nn.Linear(features, classes)}

    def training_loss(self, logits: Tensor, target: Tensor, images: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)


RECIPES: dict[str, Recipe] = {
    "reactnet-digits": ReActNet(data="digits", epochs=20, batch_size=50, filters=16, stages=2, augmented=False),
    "reactnet-cifar10": ReActNet(data="cifar10", epochs=200, batch_size=128),
}
