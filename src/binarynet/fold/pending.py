"""Values on their way: what stands between two ops of the graph while a network is folded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from binarynet.fold.link import Array, Link
from binarynet.graph.ir import Padding

# Real values that are shown to a chain of links to learn its direction: the largest that all of it can take.
_WIDE = (1e38, 1e30, 1e20, 1e12, 1e6, 1e3)


@dataclass(frozen=True, eq=False)
class Pending:
    """A graph value, and the links applied to it since.

    ``order[i]``: where the network has the graph's feature i of a flattened image: networks flatten (channels, height,
    width), the graph (height, width, channels). ``outside``: what a padding has put around the image, as the links
    have left it. ``moved``: where numbers have changed places since (`binarynet.fold.moves`). ``step``: which recorded
    step has exactly this value.
    """

    name: str
    links: tuple[Link, ...] = ()
    order: NDArray[np.int64] | None = None
    outside: tuple[Padding, float] | None = None
    moved: NDArray[np.int64] | None = None
    step: int | None = None

    def evaluate(self, x: Array) -> Array:
        """(n, channels) numbers of the graph value → what stands here, float32."""
        y = x.astype(np.float32)
        for link in self.links:
            y = link.run(y)
        return y

    def falling(self, bound: float, channels: int) -> NDArray[np.bool_]:
        """(channels,) whether the links fall from −bound to bound. ``bound`` 0: the value is real, any float32."""
        falls: NDArray[np.bool_] = np.zeros(channels, np.bool_)
        for reach in (bound,) if bound else _WIDE:
            with np.errstate(all="ignore"):
                ends = self.evaluate(np.array([[-reach], [reach]], np.float32).repeat(channels, axis=1))
                falls |= ends[0] > ends[1]
        return falls

    def composed(self, channels: int) -> tuple[Array, Array]:
        """(scale, offset) of links that are lines, (channels,) float64."""
        scale, offset = np.ones(channels), np.zeros(channels)
        for link in self.links:
            assert link.affine is not None, f"{link.name} is not affine"
            scale, offset = scale * link.affine[0], offset * link.affine[0] + link.affine[1]
        return scale, offset

    def magnitude(self, x: Array) -> Array:
        """(n, channels): the sum of the magnitudes that `evaluate` adds up, each of which it rounds."""
        total = np.abs(x).astype(np.float64)
        for link in self.links:
            if link.affine is not None:
                total = total * np.abs(link.affine[0]) + np.abs(link.affine[1])
            elif link.slope is not None:
                total = total * np.maximum(1, np.abs(link.slope))
        return total

    def bare(self, name: str, *links: Link) -> Pending:
        """Another graph value in this one's place: same order, nothing pending but ``links``."""
        return replace(self, name=name, links=links, step=None)
