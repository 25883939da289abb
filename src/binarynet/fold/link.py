"""One elementwise layer between an op of the graph and the next: not folded yet.

A link can be *evaluated*, in the very float32 arithmetic of the network (thresholds are read off that), and, if it is
affine, *composed* with others in double precision (for answers that stay real).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Link:
    """``run``: (n, channels) float32 → the same, in the network's own arithmetic.

    ``affine``: (scale, offset), (channels,) float64 each, if it is a line. ``slope`` (channels,) of a PReLU,
    ``borders`` of a clip; a ReLU is the clip to (0, ∞). ``monotone``: whether ``run`` never turns back, whatever its
    direction; it may differ by channel.
    """

    name: str
    kind: str
    run: Callable[[Array], Array]
    affine: tuple[Array, Array] | None = None
    slope: Array | None = None
    borders: tuple[float, float] | None = None
    monotone: bool = True

    def at(self, order: NDArray[np.int64]) -> Link:
        """The same for channels that stand in another order: ours i is its ``order[i]``."""
        back, run = np.argsort(order), self.run
        return replace(
            self,
            run=lambda x: run(np.ascontiguousarray(x[:, back]))[:, order],
            affine=self.affine and (self.affine[0][order], self.affine[1][order]),
            slope=None if self.slope is None else self.slope[order],
        )

    def spread(self, channels: int, pixels: int) -> Link:
        """The same behind a flatten: each of the (pixels · channels) features meets its channel's link."""
        run = self.run
        return replace(
            self,
            run=lambda x: run(x.reshape(-1, channels)).reshape(-1, pixels * channels),
            affine=self.affine and (np.tile(self.affine[0], pixels), np.tile(self.affine[1], pixels)),
            slope=None if self.slope is None else np.tile(self.slope, pixels),
        )


def scaling(name: str, scale: Array | float, channels: int) -> Link:
    """x · scale: one multiplication in float32. ``scale``: one number, or one for each channel."""
    each = np.broadcast_to(np.asarray(scale, np.float32), (channels,))
    return Link(name, "scale", lambda x: x * each, (each.astype(np.float64), np.zeros(channels)))


def division(name: str, by: int, channels: int) -> Link:
    """x / by, as averages and bytes / 255 are computed: a division, which rounds once."""
    whole = np.float32(by)
    return Link(name, "mean", lambda x: x / whole, (np.full(channels, 1.0 / by), np.zeros(channels)))


def shift(name: str, offset: Array) -> Link:
    """x + offset (channels,): one addition in float32."""
    each = offset.astype(np.float32)
    return Link(name, "bias", lambda x: x + each, (np.ones(len(each)), each.astype(np.float64)))
