"""A workload's graph as plain layers, in the two forms in which other libraries can run it.

*As floats* a hidden layer is what a user would have without this package: product + bias + hardtanh, the norm folded
into the weights. It costs what the binary net costs in that library, but its numbers are its own.

*As bytes* it is the binary net itself: a product of bytes with ±1, an integer bias, and a requantization so steep that
it saturates to the codes 0 and 255. So int8 engines run their usual fused kernels and still make the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Graph
from binarynet.graph.ir import Affine, Conv2d, Flatten, Linear, MaxPool2d, Threshold

Array = NDArray[Any]
STEEP = 255.0  # one more than the limit must already be code 255


@dataclass
class Layer:
    """A product and what follows it: a threshold (then perhaps a 2 × 2 pool), an affine map, or nothing.

    ``weight`` int8 ±1, (out, depth), or (out, in, 3, 3) of a convolution that is zero-padded by 1. ``first``: it reads
    raw bytes x as 2 x − 255, else ±1.
    """

    weight: NDArray[np.int8]
    first: bool
    flattens: tuple[int, ...] | None = None  # the (height, width, channels) of an image that it reads as a vector
    threshold: Threshold | None = None
    affine: Affine | None = None
    pools: bool = False

    @property
    def is_conv(self) -> bool:
        return self.weight.ndim == 4

    @property
    def sums(self) -> NDArray[np.int64]:
        """Sum of each channel's weights."""
        total: NDArray[np.int64] = self.weight.reshape(len(self.weight), -1).sum(axis=1, dtype=np.int64)
        return total

    def as_floats(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weight and bias of the float layer; raw bytes enter it as they are."""
        channels = len(self.weight)
        scale: Array = np.ones(channels)
        offset: Array = np.zeros(channels)
        if self.threshold is not None:
            scale = np.where(self.threshold.rising, 1, -1) / sqrt(self.weight[0].size)
            offset = -scale * self.threshold.thresholds[:, 0]
        elif self.affine is not None:
            scale, offset = self.affine.scale.astype(np.float64), self.affine.offset.astype(np.float64)
        if self.first:
            offset = offset - 255 * scale * self.sums
            scale = 2 * scale
        weight = self.weight * scale.astype(np.float32).reshape(-1, *[1] * (self.weight.ndim - 1))
        return weight, offset.astype(np.float32)

    @property
    def byte_scale(self) -> float:
        """What a step of the incoming byte is worth: a number is byte_scale · q − byte_offset."""
        return 2.0 if self.first else 2 / 255

    @property
    def byte_offset(self) -> float:
        return 255.0 if self.first else 1.0

    def as_bytes(self, zero: int = 0) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        """Weight w and bias c of a hidden layer: its bit is 1 where Σ w · (q − zero) + c ≥ 1, else the sum is ≤ 0.

        q are incoming bytes: raw ones, or 0 / 255 for −1 / +1. Exact without padding. ``zero``, the code that pads, is
        0 for a dense layer; 128 is half a step beside the number 0, so sums at borders are off by up to 1 / 255 of
        their padded weights.
        """
        assert self.threshold is not None
        rising = self.threshold.rising
        beside = self.byte_offset - zero * self.byte_scale  # of the number that `zero` stands for, below 0
        reach = self.threshold.thresholds[:, 0] - 0.5 + beside * self.sums  # x ≥ t is x > t − ½ for whole x
        least = np.ceil(reach / self.byte_scale).astype(np.int64)
        flip = np.where(rising, 1, -1).astype(np.int8).reshape(-1, *[1] * (self.weight.ndim - 1))
        return self.weight * flip, np.where(rising, 1 - least, least).astype(np.int32)

    def last_of_bytes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scale and offset that turn Σ w · q of the last layer into logits."""
        assert self.affine is not None
        scale = self.affine.scale.astype(np.float64) * self.byte_scale
        offset = self.affine.offset - self.affine.scale * self.byte_offset * self.sums
        return scale.astype(np.float32), offset.astype(np.float32)


def layers(graph: Graph) -> list[Layer]:
    """The layers of a workload's graph, which is a chain.

    Weights of a dense layer behind an image come for channels first, (channels, height, width) flattened, as other
    libraries hold them.
    """
    return list(_layers(graph))


def _layers(graph: Graph) -> Iterator[Layer]:
    layer: Layer | None = None
    shape: tuple[int, ...] = graph.input.shape
    flattens: tuple[int, ...] | None = None
    first = graph.input.encoding == "b8"
    for op in graph.ops[1:]:
        if isinstance(op, Linear | Conv2d):
            if layer is not None:
                yield layer
            weight = op.weight
            if isinstance(op, Conv2d):
                assert (op.padding, op.stride, weight.shape[1:3]) == (((1, 1), (1, 1)), (1, 1), (3, 3))
                weight = weight.transpose(0, 3, 1, 2)
                shape = (*shape[:2], len(weight))
            elif flattens:
                weight = weight.reshape(-1, *flattens).transpose(0, 3, 1, 2).reshape(len(weight), -1)
            layer = Layer(np.ascontiguousarray(weight), first, flattens)
            first, flattens = False, None
            continue
        assert layer is not None or isinstance(op, Flatten)
        if isinstance(op, Flatten):
            flattens = shape
        elif isinstance(op, Threshold) and layer:
            layer.threshold = op
        elif isinstance(op, Affine) and layer:
            layer.affine = op
        elif isinstance(op, MaxPool2d) and layer:
            assert (op.kernel, op.stride, bool(op.minimum.any())) == ((2, 2), (2, 2), False)
            layer.pools, shape = True, (shape[0] // 2, shape[1] // 2, shape[2])
    assert layer is not None
    yield layer
