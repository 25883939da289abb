"""What stands between an accumulator and the next quantizer: a chain of per-channel float layers, not yet folded.

It can be *evaluated*, in the very float32 arithmetic of the layers (thresholds are read off that), and *composed*
to one scale and one offset in double precision (for answers that stay real).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from binarynet.nn.norm import ShiftBatchNorm1d, ShiftBatchNorm2d

Real = NDArray[np.float64]


class Scaling(NamedTuple):
    """x · scale + offset, per channel, in double precision."""

    scale: Real
    offset: Real


@dataclass(frozen=True)
class Link:
    """One layer: ``run`` maps (n, channels) float32 to the same; ``scaling`` is the same if it is affine, ``slope``
    of a PReLU, ``borders`` of a clip.

    Every link but a PReLU is monotone, since each of its float operations is; its direction may differ by channel.
    """

    name: str
    kind: str
    run: Callable[[Tensor], Tensor]
    scaling: Scaling | None = None
    slope: NDArray[np.float32] | None = None
    borders: tuple[float, float] | None = None

    def at(self, order: NDArray[np.int64]) -> Link:
        """The same layer for channels that stand in another order: ours i is its ``order[i]``."""
        back, forth = torch.from_numpy(order), torch.from_numpy(np.argsort(order))
        moved = self.scaling and Scaling(self.scaling.scale[order], self.scaling.offset[order])
        return replace(self, run=lambda x: self.run(x[:, forth])[:, back], scaling=moved)

    def spread(self, channels: int, pixels: int) -> Link:
        """The same layer behind a flatten: each of the (pixels · channels) features meets its channel's layer."""

        def run(x: Tensor) -> Tensor:  # (n, pixels · channels)
            return self.run(x.reshape(-1, channels)).reshape(-1, pixels * channels)

        return replace(
            self,
            run=run,
            scaling=self.scaling and Scaling(*(np.tile(vector, pixels) for vector in self.scaling)),
            slope=None if self.slope is None else np.tile(self.slope, pixels),
        )


@dataclass(frozen=True)
class Chain:
    """Links in the order in which they apply."""

    links: tuple[Link, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.links)

    def then(self, link: Link) -> Chain:
        return Chain((*self.links, link))

    def evaluate(self, x: Tensor) -> Tensor:
        """(n, channels) → (n, channels), as the layers compute it."""
        with torch.no_grad():
            for link in self.links:
                x = link.run(x)
        return x

    def composed(self, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """scale, offset of a chain of affine links, rounded to float32 once."""
        scale, offset = np.ones(channels), np.zeros(channels)
        for link in self.links:
            assert link.scaling is not None, f"{link.name} is not affine"
            scale, offset = scale * link.scaling.scale, offset * link.scaling.scale + link.scaling.offset
        return scale.astype(np.float32), offset.astype(np.float32)

    def falling(self, low: float, high: float, channels: int) -> NDArray[np.bool_]:
        """(channels,) whether the chain falls from the lowest to the highest value it can be shown."""
        ends = self.evaluate(torch.tensor([[low], [high]], dtype=torch.float32).expand(2, channels))
        return (ends[0] > ends[1]).numpy()

    def spread(self, channels: int, pixels: int) -> Chain:
        """All links behind a flatten."""
        return Chain(tuple(link.spread(channels, pixels) for link in self.links))


def bias(name: str, vector: Tensor) -> Link:
    b = vector.detach().float()
    return Link(name, "bias", lambda x: x + b, Scaling(np.ones(len(b)), b.double().numpy()))


def unit(name: str, worth: float, channels: int) -> Link:
    """What one unit of an integer is worth: every channel has the same, so a linear op lets it through."""
    return Link(name, "unit", lambda x: x * worth, Scaling(np.full(channels, float(worth)), np.zeros(channels)))


def filter_scale(name: str, scale: Tensor, channels: int) -> Link:
    """The scale of a layer's weights, one for each output channel or one for all."""
    each = scale.detach().float().reshape(-1).expand(channels)
    return Link(name, "scale", lambda x: x * each, Scaling(each.double().numpy(), np.zeros(channels)))


def divide(name: str, by: int, channels: int) -> Link:
    return Link(name, "mean", lambda x: x / by, Scaling(np.full(channels, 1.0 / by), np.zeros(channels)))


Norm = nn.BatchNorm1d | nn.BatchNorm2d | ShiftBatchNorm1d | ShiftBatchNorm2d


def batch_norm(name: str, norm: Norm) -> Link:
    """BatchNorm with its running statistics, plain or shift-based."""

    def run(x: Tensor) -> Tensor:
        if isinstance(norm, nn.BatchNorm2d | ShiftBatchNorm2d):
            # A whole image of one value each, so that torch takes the path that it takes for real images.
            x = x[:, :, None, None].expand(-1, -1, 4, 4).contiguous()
        y: Tensor = norm(x)
        return y[:, :, 0, 0] if y.ndim == 4 else y

    if isinstance(norm, ShiftBatchNorm1d | ShiftBatchNorm2d):
        return Link(name, "BatchNorm", run, Scaling(*(vector.numpy() for vector in norm.affine())))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double().numpy(), norm.running_var.double().numpy()
    scale = 1.0 / np.sqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double().numpy()
    offset = -mean * scale
    if norm.bias is not None:
        offset = offset + norm.bias.detach().double().numpy()

    return Link(name, "BatchNorm", run, Scaling(scale, offset))


def clip(name: str, layer: nn.Hardtanh) -> Link:
    return Link(name, type(layer).__name__, layer, borders=(float(layer.min_val), float(layer.max_val)))
