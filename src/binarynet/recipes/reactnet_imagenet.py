"""ReActNet on ImageNet: the shape of MobileNet v1, without depthwise convolutions.

Z. Liu, Z. Shen, M. Savvides, K.-T. Cheng, 2020 (arXiv 2003.03488; ECCV 2020), as ReActNet-A in the authors' code.

**Binarized**: weights and inputs of all 3 × 3 and 1 × 1 convolutions but the first. Real: what flows along the
shortcuts; the first convolution, which reads bytes, and the last layer.

**Forward**   a block is x ← RPReLU(P₃(x) + x) with a 3 × 3 product, then x ← RPReLU(P₁(x) + x) with a 1 × 1 product;
P(x) = BatchNorm(sign(x + s) ⋆ α sign(W)). Where the image is halved, x is averaged over 2 × 2 for the shortcut; where
the channels double, two 1 × 1 products stand side by side, each with x beside it. Loss: the distance to the answers of
a float net, Σ p_teacher log(p_teacher / p).
**Backward**  as in `recipes/reactnet.py`.

================= ====================
recipe            reported
================= ====================
reactnet-imagenet 30.6 % (ReActNet-A)
================= ====================

Two steps, a run each: binary activations and float weights first, then both.

    binarynet train reactnet-imagenet --set teacher=RUN --set weights=float --set weight_decay=1e-5 --out step1
    binarynet train reactnet-imagenet --set teacher=RUN --set weights_from=step1 --out step2

**Departures.** The paper's teacher is torchvision's ResNet-34; here it is any run, such as ``bwn-imagenet`` with
``network=resnet34`` and ``weights=float``. Without one the loss is cross-entropy. The rest is that of
`recipes/reactnet.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.nn import RPReLU, Sequential
from binarynet.recipes.imagenet import ImageNet
from binarynet.recipes.networks import Modules, scaled
from binarynet.recipes.reactnet import ReAct
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Positive, Range

_WIDTHS = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)


class MobileBlock(nn.Module):
    """3 × 3, then 1 × 1: x (n, channels, h, w) → (n, channels × len(points), h / stride, w / stride)."""

    def __init__(self, wide: nn.Module, points: list[nn.Module], channels: int, stride: int) -> None:
        super().__init__()
        self.wide, self.activation1, self.stride = wide, RPReLU(channels), stride
        self.points, self.activation2 = nn.ModuleList(points), RPReLU(channels * len(points))

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation1(self.wide(x) + (F.avg_pool2d(x, 2) if self.stride == 2 else x))
        y: Tensor = self.activation2(torch.cat([point(x) + x for point in self.points], 1))
        return y


@dataclass(frozen=True, kw_only=True)
class ReActNetImageNet(ImageNet, ReAct):
    """3 × 3 by 2 – 13 blocks, 64 to 1024 channels – global average – linear."""

    reported: ClassVar[dict[str, float]] = {"imagenet": 30.6}
    lighting: ClassVar[float] = 0.1

    teacher_share: Annotated[float, Range("a share, from 0 to 1", minimum=0, maximum=1)] = 1.0
    temperature: Positive = 1.0
    width_multiplier: Positive = 1.0

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        first, *widths = (scaled(width, self.width_multiplier) for width in _WIDTHS)
        net: Modules = {
            "bytes": self.pixels(),
            "stem": nn.Conv2d(shape[0], first, 3, 2, 1, bias=False),
            "stem_norm": nn.BatchNorm2d(first),
        }
        channels = first
        for k, width in enumerate(widths, 1):
            times = 1 if width == channels else 2
            stride = times if k > 1 else 1
            wide = self.product(channels, channels, 3, stride)
            points = [self.product(channels, channels, 1) for _ in range(times)]
            net[f"block{k}"] = MobileBlock(wide, points, channels, stride)
            channels *= times
        net |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "classes": nn.Linear(channels, classes)}
        return Sequential(OrderedDict(net))


RECIPES: dict[str, Recipe] = {"reactnet-imagenet": ReActNetImageNet(data="imagenet", epochs=128, batch_size=256)}
