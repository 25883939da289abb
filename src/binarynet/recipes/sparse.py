"""Small nets whose neurons read few inputs, for circuits and for one gate an instruction (``export --to bitslice``).

No paper's networks; estimator and norms are those of Binarized Neural Networks (M. Courbariaux et al. 2016, arXiv
1602.02830). The neighbours, with what they state on MNIST: LogicNets (arXiv 2004.03021), PolyLUT (arXiv 2309.02334),
difflogic (arXiv 2210.08277).

**Binarized**: all weights, which are ±1 where a neuron is connected and 0 elsewhere, all hidden activations, and the
inputs: each pixel is a thermometer of ``levels`` bits. Connections are drawn once, and stay.

**Forward**   ``sparse``: thermometer – [sparse convolution – (pool) – BatchNorm – sign] × 3 – 10FC. ``sparse-small``:
thermometer – [sparse linear – BatchNorm – sign] × 2 – 10FC. Loss: cross-entropy with smoothed labels, of logits that
BatchNorm scales.
**Backward**  clipped straight-through: the gradient passes where |x| ≤ 1. Adam, whose rate falls as a cosine.

Nothing stands around an image but −1, which is a bit, so that no output at a border needs thresholds of its own.
``block`` neighbouring neurons read the same inputs, so that circuits may count for two of them at once.

================== ===========
recipe             reported
================== ===========
sparse-mnist       (no paper)
sparse-small-mnist (no paper)
sparse-digits      (no paper)
================== ===========
"""

from __future__ import annotations

from abc import abstractmethod
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
from binarynet.nn.papers.connections import FixedConnections, Thermometer, draw, draw_near
from binarynet.optim import Adam, cosine_decay, latent_optimizer
from binarynet.recipes.networks import Modules
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Count, Natural, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Sparse(Recipe):
    """What both networks share. ``levels`` bits a pixel; ``moved`` pixels of augmentation.

    ``measured_batches``: training batches on which the norms are measured before each validation.
    """

    paper: ClassVar[str] = "none; blocks of Courbariaux et al. 2016, arXiv 1602.02830"
    binarized: ClassVar[str] = "weights (0 where not connected) and activations, deterministic; inputs to levels"

    levels: Count = 2
    block: Count = 2
    moved: Natural = 2
    lr: Positive = 1e-2
    smoothing: Share = 0.1
    measured_batches: Natural = 50

    @abstractmethod
    def hidden(self, shape: tuple[int, int, int]) -> tuple[Modules, int]:
        """Thermometers of ``shape`` (channels, height, width) → the hidden layers, and how many numbers they make."""

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, height, width = shape
        hidden, features = self.hidden((channels * self.levels, height, width))
        net: Modules = {"bytes": ByteInput(), "thermometer": Thermometer(channels, self.levels), **hidden}
        net["classes"] = BinaryLinear(features, classes, bias=False, weight_quantizer="identity_sign")
        net["logits"] = nn.BatchNorm1d(classes)
        return Sequential(OrderedDict(net))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)

    def optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler | None]:
        optimizer = latent_optimizer(Adam, model, lr=self.lr, step_scale=False, fused=True)
        return optimizer, cosine_decay(optimizer, self.epochs)

    def norm_batches(self) -> int:
        """Early on signs change faster than the running averages of the norms."""
        return self.measured_batches

    def augment(self, images: Any, rng: Any) -> Any:
        """Moved by up to ``moved`` pixels each way, and never mirrored: a mirrored 2 is none."""
        return pad_crop_flip(images, rng, pad=self.moved, flip=0) if self.moved else images


@dataclass(frozen=True, kw_only=True)
class SparseConvNet(Sparse):
    """Three convolutions of ``filters``, ``kernels`` and ``strides``, of which each filter reads ``reads`` channels;
    ``pools`` says behind which of them stands a 2 × 2 pool."""

    filters: tuple[Count, Count, Count] = (32, 48, 64)
    kernels: tuple[Count, Count, Count] = (5, 3, 3)
    strides: tuple[Count, Count, Count] = (2, 1, 1)
    reads: tuple[Count, Count, Count] = (2, 4, 7)
    pools: tuple[bool, bool, bool] = (False, True, False)

    def hidden(self, shape: tuple[int, int, int]) -> tuple[Modules, int]:
        channels, height, width = shape
        net: Modules = {}
        layers = zip(self.filters, self.kernels, self.strides, self.reads, self.pools, strict=True)
        for k, (filters, kernel, stride, reads, pool) in enumerate(layers, 1):
            connected = FixedConnections(draw(filters, channels, reads, self.block))
            net[f"conv{k}"] = BinaryConv2d(
                *(channels, filters, kernel, stride, kernel // 2),
                bias=False,
                weight_quantizer=connected,
                pad_value=-1,
            )
            height, width = ((side + 2 * (kernel // 2) - kernel) // stride + 1 for side in (height, width))
            if pool:
                net[f"pool{k}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            if min(height, width) < 1:
                raise RecipeError(f"images of {shape[1]} × {shape[2]} pixels are too small for kernels={self.kernels}")
            net |= {f"norm{k}": nn.BatchNorm2d(filters), f"sign{k}": SteSign()}
            channels = filters
        return net | {"flatten": nn.Flatten()}, channels * height * width


@dataclass(frozen=True, kw_only=True)
class SparseMlp(Sparse):
    """Two layers of ``widths`` neurons, each of which reads ``reads`` numbers of the layer before it: those of the
    first layer within a square of ``field`` pixels, those of the second anywhere."""

    widths: tuple[Count, Count] = (1200, 600)
    reads: tuple[Count, Count] = (16, 24)
    field: Count = 6
    levels: Count = 1

    def hidden(self, shape: tuple[int, int, int]) -> tuple[Modules, int]:
        net: Modules = {"flatten": nn.Flatten()}
        features = shape[0] * shape[1] * shape[2]
        for k, (width, reads) in enumerate(zip(self.widths, self.reads, strict=True), 1):
            if k == 1:
                mask = draw_near(width, shape, reads, self.field, self.block)
            else:
                mask = draw(width, features, reads, self.block)
            connected = FixedConnections(mask)
            net[f"linear{k}"] = BinaryLinear(features, width, bias=False, weight_quantizer=connected)
            net |= {f"norm{k}": nn.BatchNorm1d(width), f"sign{k}": SteSign()}
            features = width
        return net, features


RECIPES: dict[str, Recipe] = {
    "sparse-mnist": SparseConvNet(data="mnist", epochs=40, batch_size=100),
    "sparse-small-mnist": SparseMlp(data="mnist", epochs=60, batch_size=100, moved=0, lr=5e-3),
    "sparse-digits": SparseMlp(data="digits", epochs=60, batch_size=32, moved=0, lr=5e-3, levels=2, widths=(256, 128)),
}
