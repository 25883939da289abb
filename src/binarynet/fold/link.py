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

from binarynet.graph import functions

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Link:
    """``run``: (n, channels) float32 → the same, in the network's own arithmetic.

    ``affine``: (scale, offset), (channels,) float64 each, if it is a line. ``slope`` (channels,) of a PReLU,
    ``borders`` of a clip; a ReLU is the clip to (0, ∞); ``function`` of `binarynet.graph.functions`; ``steps``: other
    links that amount to this one, where it is read as a real number. ``monotone``: whether ``run`` never turns back,
    whatever its direction; it may differ by channel.
    """

    name: str
    kind: str
    run: Callable[[Array], Array]
    affine: tuple[Array, Array] | None = None
    slope: Array | None = None
    borders: tuple[float, float] | None = None
    function: str | None = None
    steps: tuple[Link, ...] = ()
    monotone: bool = True

    def at(self, order: NDArray[np.int64]) -> Link:
        """The same for channels that stand in another order: ours i is its ``order[i]``."""
        back, run = np.argsort(order), self.run
        return replace(
            self,
            run=lambda x: run(np.ascontiguousarray(x[:, back]))[:, order],
            affine=self.affine and (self.affine[0][order], self.affine[1][order]),
            slope=None if self.slope is None else self.slope[order],
            steps=tuple(one.at(order) for one in self.steps),
        )

    def chosen(self, channels: NDArray[Any], count: int) -> Link:
        """The same for some of ``count`` channels, in any order and as often as they are named."""
        if np.array_equal(channels, np.arange(count)):
            return self
        run = self.run
        # One that is named again goes through the link on its own, beside others that are named as often.
        turn = np.array([np.count_nonzero(channels[:place] == one) for place, one in enumerate(channels)], np.int64)

        def told(x: Array) -> Array:
            made = np.empty_like(x, np.float32)
            for again in range(int(turn.max()) + 1):
                mine = np.flatnonzero(turn == again)
                shown = np.zeros((len(x), count), np.float32)
                shown[:, channels[mine]] = x[:, mine]
                made[:, mine] = run(shown)[:, channels[mine]]
            return made

        return replace(
            self,
            run=told,
            affine=self.affine and (self.affine[0][channels], self.affine[1][channels]),
            slope=None if self.slope is None else self.slope[channels],
            steps=tuple(one.chosen(channels, count) for one in self.steps),
        )

    def spread(self, channels: int, pixels: int) -> Link:
        """The same behind a flatten: each of the (pixels · channels) features meets its channel's link."""
        run = self.run
        return replace(
            self,
            run=lambda x: run(x.reshape(-1, channels)).reshape(-1, pixels * channels),
            affine=self.affine and (np.tile(self.affine[0], pixels), np.tile(self.affine[1], pixels)),
            slope=None if self.slope is None else np.tile(self.slope, pixels),
            steps=tuple(one.spread(channels, pixels) for one in self.steps),
        )


def scaling(name: str, scale: Array | float, channels: int) -> Link:
    """x · scale: one multiplication in float32. ``scale``: one number, or one for each channel."""
    each = np.broadcast_to(np.asarray(scale, np.float32), (channels,))
    return Link(name, "scale", lambda x: x * each, (each.astype(np.float64), np.zeros(channels)))


def division(name: str, by: int, channels: int) -> Link:
    """x / by, as averages and bytes / 255 are computed: a division, which rounds once."""
    whole = np.float32(by)
    return Link(name, "mean", lambda x: x / whole, (np.full(channels, 1.0 / by), np.zeros(channels)))


def line(name: str, scale: float, offset: float, channels: int) -> Link:
    """x · scale + offset: one multiplication, then one addition in float32."""
    a, b = np.float32(scale), np.float32(offset)
    return Link(name, "line", lambda x: x * a + b, (np.full(channels, float(a)), np.full(channels, float(b))))


def applied(name: str, function: str) -> Link:
    """A function of `binarynet.graph.functions` that is an op wherever it stands, as it may turn back."""
    return Link(name, function, lambda x: functions.apply(function, x), function=function, monotone=False)


def relu(name: str) -> Link:
    return Link(name, "ReLU", lambda x: np.maximum(x, 0), borders=(0.0, np.inf))


def clip(name: str, low: float, high: float, channels: int) -> tuple[Link, ...]:
    """clip(x, low, high) = high − relu(high − low − relu(x − low)), so that it needs no op of its own."""
    if high == np.inf:
        below = (line(f"{name}.low", 1, -low, channels),) if low else ()
        return (*below, relu(f"{name}.relu"), *((line(name, 1, low, channels),) if low else ()))
    above = (relu(f"{name}.high.relu"), line(name, -1, high, channels))
    if low == -np.inf:
        return (line(f"{name}.high", -1, high, channels), *above)
    below = (line(f"{name}.low", 1, -low, channels),) if low else ()
    return (*below, relu(f"{name}.low.relu"), line(f"{name}.high", -1, high - low, channels), *above)


def shift(name: str, offset: Array) -> Link:
    """x + offset (channels,): one addition in float32."""
    each = offset.astype(np.float32)
    return Link(name, "bias", lambda x: x + each, (np.ones(len(each)), each.astype(np.float64)))
