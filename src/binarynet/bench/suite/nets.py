"""Networks of the suite with real parts, at the sizes that people run, with random weights.

AlexNet as XNOR-Net has it (Rastegari et al. 2016), ResNet-18 as Bi-Real Net has it (Liu et al. 2018) and ReActNet-A, of
MobileNet's shape (Liu et al. 2020): the first and the last layer are float32, and so are the shortcuts; all other
products are ±1 × ±1.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Graph
from binarynet.graph.ir import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Op,
    PRelu,
    SumPool2d,
    Threshold,
)


def claim(size: int = 14, channels: int = 256) -> Graph:
    """One 3 × 3 convolution of ±1, zero-padded: what the paper's 58 × is about."""
    net = _Net(Input("image", (), (size, size, channels), "b1"))
    net.conv(channels, 3, padding=1)
    return net.graph()


def alexnet(size: int = 227, width: int = 96, classes: int = 1000) -> Graph:
    """Float32 images → logits; ``width`` channels behind the first layer, 96 in the paper."""
    net = _Net(Input("image", (), (size, size, 3), "f32"))
    net.conv(width, 11, stride=4, real=True)
    net.affine()
    net.sign(real=True)
    net.pool(3, 2)
    for channels, kernel, pools in ((8, 5, True), (12, 3, False), (12, 3, False), (8, 3, True)):
        net.conv(width * channels // 3, kernel, padding=kernel // 2)
        net.sign()
        if pools:
            net.pool(3, 2)
    net.flatten()
    for _ in range(2):
        net.linear(width * 128 // 3)
        net.sign()
    net.linear(classes)
    net.affine()
    return net.graph()


def bireal(size: int = 224, width: int = 64, classes: int = 1000) -> Graph:
    """Float32 images → logits; ``width`` channels behind the first layer, 64 in the paper."""
    net = _Net(Input("image", (), (size, size, 3), "f32"))
    net.conv(width, 7, stride=2, padding=3, real=True)
    net.affine()
    net.pool(3, 2, padding=1)
    for stage in range(4):
        for block in range(4):
            shortcut, shape = net.last, net.shape
            down = stage > 0 and block == 0
            net.sign(real=True)
            net.conv(width << stage, 3, stride=1 + down, padding=1)
            net.affine()
            main, made = net.last, net.shape
            if down:  # the mean of 2 × 2, then 1 × 1 in float32
                net.last, net.shape = shortcut, shape
                net.add(SumPool2d, (2, 2), (2, 2))
                net.shape = (shape[0] // 2, shape[1] // 2, shape[2])
                net.conv(width << stage, 1, real=True)
                net.affine()
                shortcut = net.last
            net.last, net.shape = main, made
            net.join(shortcut)
    return net.averaged(classes)


def reactnet(size: int = 224, width: int = 32, classes: int = 1000) -> Graph:
    """Float32 images → logits; ``width`` channels behind the first layer, 32 in the paper."""
    net = _Net(Input("image", (), (size, size, 3), "f32"))
    net.conv(width, 3, stride=2, padding=1, real=True)
    net.affine()
    for block, wider in enumerate((2, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)):
        shortcut, shape = net.last, net.shape
        net.sign(real=True)
        net.conv(shape[2], 3, stride=2 if block and wider == 2 else 1, padding=1)
        net.affine()
        if net.shape != shape:
            main, net.last = net.last, shortcut
            net.add(SumPool2d, (2, 2), (2, 2))
            net.affine()
            shortcut, net.last = net.last, main
        net.join(shortcut)
        net.rprelu()
        shortcut, halves = net.last, []
        for _ in range(wider):
            net.last = shortcut
            net.sign(real=True)
            net.conv(net.shape[2], 1)
            net.affine()
            net.join(shortcut)
            halves.append(net.last)
        if wider == 2:
            net.ops.append(Concat(f"concat{len(net.ops)}", tuple(halves)))
            net.last, net.shape = net.ops[-1].name, (*net.shape[:2], 2 * net.shape[2])
        net.rprelu()
    return net.averaged(classes)


class _Net:
    """Ops one after the other; each reads the one before."""

    def __init__(self, first: Input) -> None:
        self.ops: list[Op] = [first]
        self.last, self.shape = first.name, first.shape
        self.rng = np.random.default_rng(0)
        self.depth = 1

    def graph(self) -> Graph:
        return Graph(tuple(self.ops))

    def averaged(self, classes: int) -> Graph:
        """Global average – float32 classes: the end."""
        side = self.shape[0]
        self.add(SumPool2d, (side, side), (side, side))
        self.shape = (1, 1, self.shape[2])
        self.affine()
        self.flatten()
        self.linear(classes, real=True)
        self.affine()
        return self.graph()

    def add(self, made: type[Op], *fields: Any, **named: Any) -> None:
        self.ops.append(made(f"{made.__name__.lower()}{len(self.ops)}", (self.last,), *fields, **named))
        self.last = self.ops[-1].name

    def weight(self, real: bool, *shape: int) -> dict[str, Any]:
        self.depth = prod(shape[1:])
        drawn: NDArray[Any] = self.rng.integers(0, 2, shape, np.int8) * 2 - 1
        if real:
            drawn = (self.rng.standard_normal(shape) / sqrt(self.depth)).astype(np.float32)
        return {"weight": drawn, "weight_encoding": "f32" if real else "b1"}

    def conv(self, channels: int, kernel: int, stride: int = 1, padding: int = 0, real: bool = False) -> None:
        weight = self.weight(real, channels, kernel, kernel, self.shape[2])
        around = ((padding, padding), (padding, padding))
        self.add(Conv2d, **weight, stride=(stride, stride), padding=around)
        self.shape = (*((side + 2 * padding - kernel) // stride + 1 for side in self.shape[:2]), channels)

    def linear(self, channels: int, real: bool = False) -> None:
        self.add(Linear, **self.weight(real, channels, self.shape[0]))
        self.shape = (channels,)

    def sign(self, real: bool = False) -> None:
        channels = self.shape[-1]
        around = self.rng.normal(0, 0.5 if real else sqrt(self.depth) / 2, (channels, 1))
        bounds = around.astype(np.float32) if real else np.rint(around).astype(np.int32)
        self.add(Threshold, bounds, self.rng.integers(0, 2, channels).astype(bool))

    def affine(self) -> None:
        channels = self.shape[-1]
        scale = self.rng.uniform(0.5, 1.5, channels) / sqrt(self.depth)
        self.add(Affine, scale.astype(np.float32), self.rng.normal(0, 0.1, channels).astype(np.float32))

    def pool(self, kernel: int, stride: int, padding: int = 0) -> None:
        around = ((padding, padding), (padding, padding))
        self.add(MaxPool2d, (kernel, kernel), (stride, stride), np.zeros(self.shape[2], bool), padding=around)
        self.shape = (*((side + 2 * padding - kernel) // stride + 1 for side in self.shape[:2]), self.shape[2])

    def join(self, shortcut: str) -> None:
        """The last value and another one, added."""
        self.ops.append(Add(f"add{len(self.ops)}", (self.last, shortcut)))
        self.last = self.ops[-1].name

    def rprelu(self) -> None:
        self.affine()
        self.add(PRelu, self.rng.uniform(0.1, 0.4, self.shape[-1]).astype(np.float32))
        self.affine()

    def flatten(self) -> None:
        self.shape = (prod(self.shape),)
        self.add(Flatten)
