"""Binary-Weight-Networks: weights are a sign times a scale for each filter; activations stay real.

M. Rastegari, V. Ordonez, J. Redmon, A. Farhadi, 2016 (arXiv 1603.05279; ECCV 2016), "XNOR-Net". The paper's other
network, XNOR-Net itself, is `recipes/xnornet.py`.

**Binarized**: the weights of all layers but the first and the last. Real: those two, BatchNorm, ReLU activations.

**Forward**   a = pool(ReLU(BatchNorm(a_before ⋆ alpha sign(W)))), alpha = mean |W| of the filter; loss: cross-entropy.
**Backward**  the exact gradient through alpha and the clipped straight-through sign (`gradient=paper` or `released`
for the other two forms). Before every iteration W ← clip(W − mean over input channels, −1, 1).

=========== ===========
recipe      reported
=========== ===========
bwn-cifar10 9.88 %
bwn-mnist   (not in it)
bwn-digits  (not in it)
=========== ===========

``network`` is one of `NETWORKS`: LeNet-5 for MNIST, as in the PyTorch port (lenet3 is its shape for 8 × 8 images), the
convnet of BNN for CIFAR-10, AlexNet for ImageNet (`recipes/xnornet_imagenet.py`).

**Departures.** Adam, geometric decay, no weight decay and W ~ N(0, 0.05²) are ours for all networks; the authors'
code starts from He's normal weights, the port trains its LeNet-5 by SGD with weight decay. `ends=binary` binarizes
first and last layer too, so that no weight is a float; the first then reads bytes, its weights are not centred, and
the last gets a BatchNorm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from binarynet.errors import RecipeError
from binarynet.nn import BinaryConv2d, BinaryLayer, BinaryLinear, ByteInput, Sequential, latent_weights
from binarynet.nn.quantizers import ScaledSign
from binarynet.optim import Adam, geometric_decay, latent_optimizer
from binarynet.optim.center import center_latent_weights
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Positive

EPSILON, MOMENTUM = 1e-4, 0.1  # of BatchNorm
Norm = Callable[[], nn.Module]


class Conv(NamedTuple):
    """A convolution: its filters as a multiple of ``filters``, its window, and (size, stride) of a max-pool."""

    multiple: float
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: tuple[int, int] | None = None

    def out(self, size: int) -> int:
        """What is left of an image side."""
        size = (size + 2 * self.padding - self.kernel) // self.stride + 1
        return size if self.pool is None else (size - self.pool[0]) // self.pool[1] + 1


NETWORKS: dict[str, tuple[Conv, ...]] = {
    "mlp": (),
    "lenet3": (Conv(1, 3, padding=1, pool=(2, 2)), Conv(2.5, 3, padding=1, pool=(2, 2))),
    "lenet5": (Conv(1, 5, pool=(2, 2)), Conv(2.5, 5, pool=(2, 2))),
    "convnet": tuple(Conv(m, 3, padding=1, pool=pool) for m in (1, 2, 4) for pool in (None, (2, 2))),
    "alexnet": (
        Conv(1, 11, stride=4, padding=2, pool=(3, 2)),
        Conv(8 / 3, 5, padding=2, pool=(3, 2)),
        Conv(4, 3, padding=1),
        Conv(4, 3, padding=1),
        Conv(8 / 3, 3, padding=1, pool=(3, 2)),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Bwn(Recipe):
    """The convolutions of ``network``, ``layers`` × linear of ``width``, linear to the classes.

    ``filters``: of the first convolution; the others keep their proportion. ``ends``: the first and the last layer.
    """

    paper: ClassVar[str] = "Rastegari et al. 2016, arXiv 1603.05279 (Binary-Weight-Network)"
    binarized: ClassVar[str] = "weights but the first and last layer's, scaled per filter"
    reported: ClassVar[dict[str, float]] = {"cifar10": 9.88}

    network: Literal["mlp", "lenet3", "lenet5", "convnet", "alexnet"] = "lenet5"
    filters: Count = 20
    width: Count = 500
    layers: Count = 1
    ends: Literal["float", "binary"] = "float"
    gradient: Literal["exact", "paper", "released"] = "exact"
    centered: bool = True
    lr_start: Positive = 1e-2
    lr_end: Positive = 1e-5

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        convs = NETWORKS[self.network]
        net: dict[str, nn.Module] = {} if convs else {"flatten": nn.Flatten()}
        net["bytes"] = self.pixels()
        for k, conv in enumerate(convs, 1):
            filters = max(1, round(self.filters * conv.multiple))
            net |= self.before(k, _norm2d(channels))
            net[f"conv{k}"] = self.hidden(k, self._conv(k, conv, channels, filters))
            net |= self.behind(k, _norm2d(filters))
            if conv.pool is not None:
                net[f"pool{k}"] = nn.MaxPool2d(*conv.pool)
            channels, height, width = filters, conv.out(height), conv.out(width)
            if min(height, width) < 1:
                raise RecipeError(f"network={self.network} does not fit images of {shape[1]} × {shape[2]}: try lenet3.")
        features = channels * height * width
        for k in range(len(convs) + 1, len(convs) + self.layers + 1):
            if "flatten" in net:
                net |= self.before(k, _norm1d(features))
            else:
                net |= {**self.before(k, _norm2d(channels)), "flatten": nn.Flatten()}
            net[f"linear{k}"] = self.hidden(k, self._linear(k, features, self.width))
            net |= self.behind(k, _norm1d(self.width))
            features = self.width
        net |= self.before_classes(_norm1d(features))
        if self.ends == "float":
            net["classes"] = nn.Linear(features, classes)
        else:
            net["classes"] = self._linear(len(convs) + self.layers + 1, features, classes)
            net["logits"] = nn.BatchNorm1d(classes, EPSILON, MOMENTUM)
        return Sequential(OrderedDict(net))

    def pixels(self) -> ByteInput:
        return ByteInput(scale=1 / 255)

    # What stands around layer k (from 1): here layer – norm – ReLU – pool. XNOR-Net differs in just these.

    def before(self, k: int, norm: Norm) -> dict[str, nn.Module]:
        return {}

    def hidden(self, k: int, layer: nn.Module) -> nn.Module:
        return layer

    def behind(self, k: int, norm: Norm) -> dict[str, nn.Module]:
        return {f"norm{k}": norm(), f"relu{k}": nn.ReLU()}

    def before_classes(self, norm: Norm) -> dict[str, nn.Module]:
        return {}

    def quantizers(self, k: int) -> dict[str, Any]:
        # The released factor is 0 for one input channel, and its authors have no binary first layer.
        return {"weight_quantizer": ScaledSign("exact" if k == 1 else self.gradient), "bias": False}

    def _conv(self, k: int, conv: Conv, channels: int, filters: int) -> nn.Module:
        window: dict[str, Any] = {"kernel_size": conv.kernel, "stride": conv.stride, "padding": conv.padding}
        if k == 1 and self.ends == "float":
            return nn.Conv2d(channels, filters, **window, bias=False)
        return _started(BinaryConv2d(channels, filters, **window, **self.quantizers(k)))

    def _linear(self, k: int, features: int, width: int) -> nn.Module:
        if k == 1 and self.ends == "float":
            return nn.Linear(features, width, bias=False)
        return _started(BinaryLinear(features, width, **self.quantizers(k)))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, target)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        clip = None if self.centered else 1.0  # centred weights are clamped behind the centring
        optimizer = latent_optimizer(Adam, model, lr=self.lr_start, step_scale=False, clip=clip)
        if self.centered:
            first = ("conv1", "linear1")
            center_latent_weights(optimizer, [m for name, m, _ in latent_weights(model) if name not in first])
        return optimizer, geometric_decay(optimizer, self.lr_start, self.lr_end, self.epochs)


def _started(layer: BinaryLayer) -> BinaryLayer:
    nn.init.normal_(layer.weight, std=0.05)
    return layer


def _norm1d(features: int) -> Norm:
    return lambda: nn.BatchNorm1d(features, EPSILON, MOMENTUM)


def _norm2d(channels: int) -> Norm:
    return lambda: nn.BatchNorm2d(channels, EPSILON, MOMENTUM)


RECIPES: dict[str, Recipe] = {
    "bwn-digits": Bwn(data="digits", epochs=20, batch_size=32, network="lenet3", filters=16, width=64),
    "bwn-mnist": Bwn(data="mnist", epochs=60, batch_size=128),
    "bwn-cifar10": Bwn(
        data="cifar10", epochs=320, batch_size=128, network="convnet", filters=128, width=1024, layers=2
    ),
}
