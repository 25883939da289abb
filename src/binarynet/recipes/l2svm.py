"""Deep Learning using Linear Support Vector Machines: the float baseline that the binary networks are compared with.

Y. Tang, 2013 (arXiv 1306.0239; ICML 2013 Workshop on Challenges in Representation Learning).

**Binarized**: nothing. It is the number to compare with, and the origin of the squared hinge that the binary networks
are trained with. Its float weights have no integer counterpart: `lower` refuses them, unless ``allow_real=True`` asks
for a file of 32-bit weights.

**Forward**   a = ReLU(a_before · W + b), last layer linear.
**Loss**      squared hinge max(0, 1 − t y)² over all classes, t = +1 for the right one and −1 for the others, and a
squared penalty on the weights of the last layer, which is the margin of the support vector machine.

============= ===========
recipe        reported
============= ===========
l2svm-mnist   0.87 %
l2svm-cifar10 11.9 %
l2svm-digits  (not in it)
============= ===========

**Departures.** Loss and kind of network are the paper's; sizes, dropout, Adam and its rates are ours, and so is what
MNIST has instead of dropout: its pixels are projected on their first ``components`` principal components, a fixed
linear layer, and Gaussian noise falls on these while training, whose standard deviation falls from ``noise`` to 0,
linearly, as the learning rate does. Inputs are 2x / 255 − 1. The hinge is averaged over the classes, as in the other
recipes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from binarynet.data import principal_components
from binarynet.errors import RecipeError
from binarynet.nn import ByteInput, GaussianNoise, Sequential, squared_hinge
from binarynet.optim import Adam
from binarynet.recipes.networks import Modules, mlp
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, NotNegative, Positive, Share


@dataclass(frozen=True, kw_only=True)
class L2Svm(Recipe):
    """What the networks share: squared hinge, Adam, a rate that falls linearly to 0."""

    paper: ClassVar[str] = "Tang 2013, arXiv 1306.0239"
    binarized: ClassVar[str] = "nothing (float baseline)"

    lr_start: Positive = 1e-3
    penalty: NotNegative = 1e-4  # weight decay of the last layer
    dropout: Share = 0.5
    input_dropout: Share = 0.2

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        margin = model.get_submodule("classes").weight
        others = [parameter for parameter in model.parameters() if parameter is not margin]
        groups: list[dict[str, Any]] = [{"params": others}, {"params": [margin], "weight_decay": self.penalty}]
        optimizer = Adam(groups, lr=self.lr_start)
        return optimizer, LambdaLR(optimizer, lambda epoch: max(0.0, 1 - epoch / self.epochs))

    def head(self) -> Modules:
        return {"bytes": ByteInput(scale=1 / 255)}

    def dense(self, k: int, features: int, width: int) -> Modules:
        """Linear – ReLU – drop."""
        return {
            f"linear{k}": nn.Linear(features, width),
            f"relu{k}": nn.ReLU(),
            f"drop{k}": nn.Dropout(self.dropout),
        }

    def answer(self, features: int, classes: int) -> Modules:
        return {"classes": nn.Linear(features, classes)}


@dataclass(frozen=True, kw_only=True)
class L2SvmMlp(L2Svm):
    """components – noise – drop – [linear – ReLU – drop] × layers – linear; no such layer with ``components=0``."""

    reported: ClassVar[dict[str, float]] = {"mnist": 0.87}

    width: Count = 512
    layers: Count = 2
    components: Natural = 0
    noise: NotNegative = 0.0

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        head, pixels = self.head(), shape[0] * shape[1] * shape[2]
        if self.components > pixels:
            raise RecipeError(f"components={self.components}: images of {pixels} pixels have no more than {pixels}")
        if self.components:
            shape = (self.components, 1, 1)
            head["components"] = nn.Linear(pixels, self.components).requires_grad_(False)
        head |= {"noise": GaussianNoise(self.noise), "drop": nn.Dropout(self.input_dropout)}
        return mlp(shape, classes, [self.width] * self.layers, self.dense, self.answer, head=head)

    @torch.no_grad()
    def prepare(self, model: nn.Module, images: np.ndarray) -> None:
        if not self.components:
            return
        mean, axes = (torch.from_numpy(array) for array in principal_components(images, self.components))
        layer = model.get_submodule("components")
        layer.weight.copy_(axes)  # type: ignore[operator]
        layer.bias.copy_(-axes @ (2 * mean / 255 - 1))  # type: ignore[operator]

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        noise = model.get_submodule("noise")
        assert isinstance(noise, GaussianNoise)
        noise.std = self.noise * (1 - epoch / self.epochs)


@dataclass(frozen=True, kw_only=True)
class L2SvmConvNet(L2Svm):
    """32C5 – P2 – 64C5 – P2 – 3072FC – 10FC, each but the last with ReLU; convolutions keep the size."""

    reported: ClassVar[dict[str, float]] = {"cifar10": 11.9}

    filters: Count = 32
    hidden: Count = 3072

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        net: Modules = {**self.head(), "drop": nn.Dropout(self.input_dropout)}
        for k in (1, 2):
            net[f"conv{k}"] = nn.Conv2d(channels, self.filters * k, 5, padding=2)
            net[f"relu{k}"] = nn.ReLU()
            net[f"pool{k}"] = nn.MaxPool2d(2)
            channels = self.filters * k
        net["flatten"] = nn.Flatten()
        net |= self.dense(3, channels * (height // 4) * (width // 4), self.hidden) | self.answer(self.hidden, classes)
        return Sequential(OrderedDict(net))


RECIPES: dict[str, Recipe] = {
    "l2svm-digits": L2SvmMlp(data="digits", epochs=40, batch_size=50, width=256, dropout=0.2, input_dropout=0.0),
    "l2svm-mnist": L2SvmMlp(
        data="mnist", epochs=400, batch_size=200, components=70, noise=1.5, dropout=0.0, input_dropout=0.0
    ),
    "l2svm-cifar10": L2SvmConvNet(data="cifar10", epochs=200, batch_size=100, dropout=0.2, input_dropout=0.0),
}
