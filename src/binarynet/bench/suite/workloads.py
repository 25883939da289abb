"""What the suite runs: kinds of work as graphs with random weights, and the images that they are given.

===== ============================================ ============================== =====================
name  work                                         in                             out
===== ============================================ ============================== =====================
W1    GEMM n × n × n of ±1, n = 1024, 4096         n rows of bytes 0 / 1          int32
W1    the same to thresholded bits: this package   n rows of bytes 0 / 1          bits, see `to_bits`
W2    one row × 4096 × 4096 of ±1                  a row of bytes 0 / 1           int32
W3    MLP 784-4096-4096-4096-10 (BinaryNet, MNIST) uint8 images                   float32 logits
W4    ConvNet 128-128-256-256-512-512-1024-1024-10 uint8 images 32 × 32 × 3       float32 logits
W5    a 3 × 3 convolution of 256 → 256 (XNOR-Net)  14 × 14 × 256 of bytes 0 / 1   int32
W6    XNOR AlexNet, Bi-Real ResNet-18, ReActNet    float32 images 224 × 224 × 3   float32 logits
W7    the models that come along                   uint8 images                   float32 logits
W8    a model of W3, W4, W7: loading, one answer   a file                         float32 logits
===== ============================================ ============================== =====================

Speed does not depend on what was learnt, so weights are drawn; thresholds lie where half of the answers reach them,
and about half of the channels fall. W3 and W4 are the networks of BinaryNet (Courbariaux et al. 2016), zero-padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.bench.suite import nets
from binarynet.errors import InputError, closest
from binarynet.format import load
from binarynet.graph import Graph, interpret, verify
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import Affine, Conv2d, Flatten, Input, Linear, MaxPool2d, Op, Threshold
from binarynet.models import find

Array = NDArray[Any]
_ORACLE_BATCH = 100
_CHECKED = {"W6": 1, "W7": 100}


@dataclass(frozen=True)
class Workload:
    """One shape of work at one batch size. ``name`` says both: ``"W3 MLP, batch 100"``."""

    name: str
    kind: str  # "W1" … "W8"
    graph: Graph = field(repr=False)
    batch: int

    @property
    def is_product(self) -> bool:
        """One matrix product and nothing else: W1, W2."""
        return self.kind in ("W1", "W2") and len(self.graph.ops) == 2

    @property
    def to_bits(self) -> bool:
        """A product whose answers become bits, as in the middle of a net; only an engine for such nets has that."""
        return self.kind == "W1" and not self.is_product

    def images(self) -> Array:
        """The input, (batch, *shape): codes 0 / 1 of ±1, bytes of NHWC images, or float32. Always the same."""
        rng = np.random.default_rng(self.batch)
        if self.graph.input.encoding == "f32":
            return rng.standard_normal((self.batch, *self.graph.input.shape), np.float32)
        highest = 2 ** Encoding.parse(self.graph.input.encoding).bits
        return rng.integers(0, highest, (self.batch, *self.graph.input.shape), np.uint8)

    def expected(self) -> Array:
        """The oracle's answer to `images` or, where that would take it minutes, to the first of them."""
        images = self.images()[: _CHECKED.get(self.kind)]
        parts = [interpret(self.graph, images[i : i + _ORACLE_BATCH]) for i in range(0, len(images), _ORACLE_BATCH)]
        return np.concatenate(parts)

    @property
    def macs(self) -> dict[int, int]:
        """Multiply-adds of the whole batch by the activation's width in bits: {8: first layer, 1: rest, 32: reals}."""
        values, found = verify(self.graph), dict[int, int]()
        for op in self.graph.ops:
            if isinstance(op, Linear | Conv2d):
                width = values[op.source].encoding.bits
                places = prod(values[op.name].shape[:-1])
                found[width] = found.get(width, 0) + self.batch * places * op.weight.size
        return found

    @property
    def bytes(self) -> int:
        """What must be moved at least once: input, packed weights, answer."""
        values = verify(self.graph)
        products = [op for op in self.graph.ops if isinstance(op, Linear | Conv2d)]
        weights = sum(op.weight.size * Encoding.parse(op.weight_encoding).bits // 8 for op in products)
        numbers = prod(values[self.graph.input.name].shape) + 4 * prod(values[self.graph.output.name].shape)
        return weights + self.batch * numbers


def sole_weight(work: Workload) -> NDArray[np.int8]:
    """The ±1 weights (channels, depth) of a product."""
    op = work.graph.output
    assert isinstance(op, Linear)
    return op.weight


def product(depth: int, channels: int) -> Graph:
    """±1 rows (…, depth) → int32 (…, channels)."""
    rng = np.random.default_rng(depth)
    return Graph((Input("rows", (), (depth,), "b1"), Linear("product", ("rows",), _signs(rng, channels, depth))))


def product_to_bits(depth: int, channels: int) -> Graph:
    """The same product and a threshold. One more channel that reads the bits stands for who uses them."""
    first = product(depth, channels)
    rng = np.random.default_rng(depth + 1)
    bounds = np.rint(rng.normal(0, np.sqrt(depth) / 2, (channels, 1))).astype(np.int32)
    bits = Threshold("bits", ("product",), bounds, rng.integers(0, 2, channels).astype(bool))
    return Graph((*first.ops, bits, Linear("reader", ("bits",), _signs(rng, 1, channels))))


def mlp(features: int = 784, width: int = 4096, hidden: int = 3, classes: int = 10) -> Graph:
    """Raw bytes → ``hidden`` binary layers → logits."""
    chain = _Chain(Input("image", (), (features,), "b8"))
    for _ in range(hidden):
        chain.linear(width)
        chain.threshold()
    return chain.end(classes)


def convnet(size: int = 32, width: int = 128, dense: int = 1024, classes: int = 10) -> Graph:
    """2 × (3 × 3 convolution), pool, three times and twice as wide each time; two dense layers; logits."""
    chain = _Chain(Input("image", (), (size, size, 3), "b8"))
    for stage in range(3):
        chain.conv(width << stage)
        chain.threshold()
        chain.conv(width << stage)
        chain.threshold()
        chain.pool()
    chain.flatten()
    for _ in range(2):
        chain.linear(dense)
        chain.threshold()
    return chain.end(classes)


KINDS = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8")


def workloads(kinds: Sequence[str] = KINDS, tiny: bool = False) -> list[Workload]:
    """The suite's work, in order; ``tiny``: the same kinds at sizes that take no time, to try the command.

    Raises:
        InputError: a kind that does not exist.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"there is no workload {kind!r}.{closest(kind, KINDS)} There are {', '.join(KINDS)}.")
    return [work for work in (_tiny() if tiny else _full()) if work.kind in kinds]


@lru_cache(maxsize=1)
def _full() -> tuple[Workload, ...]:
    dense, conv, wide = mlp(), convnet(), product(4096, 4096)
    small, digits = load(find("mnist-small")), load(find("digits"))
    alexnet, resnet, mobile = nets.alexnet(), nets.bireal(), nets.reactnet()
    return (
        Workload("W1 GEMM 1024³", "W1", product(1024, 1024), 1024),
        Workload("W1 GEMM 4096³", "W1", wide, 4096),
        Workload("W1 GEMM 4096³ → bits", "W1", product_to_bits(4096, 4096), 4096),
        Workload("W2 1 × 4096 × 4096", "W2", wide, 1),
        *(Workload(f"W3 MLP, batch {batch}", "W3", dense, batch) for batch in (1, 100, 1000)),
        *(Workload(f"W4 ConvNet, batch {batch}", "W4", conv, batch) for batch in (1, 64)),
        Workload("W5 3 × 3, 256 → 256 on 14 × 14, batch 1", "W5", nets.claim(), 1),
        *(Workload(f"W6 XNOR AlexNet, batch {batch}", "W6", alexnet, batch) for batch in (1, 16)),
        *(Workload(f"W6 Bi-Real ResNet-18, batch {batch}", "W6", resnet, batch) for batch in (1, 16)),
        *(Workload(f"W6 ReActNet-MobileNet, batch {batch}", "W6", mobile, batch) for batch in (1, 16)),
        *(Workload(f"W7 mnist-small, batch {batch}", "W7", small, batch) for batch in (1, 10_000)),
        *(Workload(f"W7 digits, batch {batch}", "W7", digits, batch) for batch in (1, 10_000)),
        Workload("W8 load MLP", "W8", dense, 1),
        Workload("W8 load ConvNet", "W8", conv, 1),
        Workload("W8 load mnist-small", "W8", small, 1),
    )


@lru_cache(maxsize=1)
def _tiny() -> tuple[Workload, ...]:
    return (
        Workload("W1 GEMM 128³", "W1", product(128, 128), 128),
        Workload("W1 GEMM 128³ → bits", "W1", product_to_bits(128, 128), 128),
        Workload("W2 1 × 256 × 256", "W2", product(256, 256), 1),
        Workload("W3 MLP 64-128³-10, batch 3", "W3", mlp(64, 128), 3),
        Workload("W4 ConvNet 8 × 8, 32 wide, batch 2", "W4", convnet(8, 32, 64), 2),
        Workload("W5 3 × 3, 32 → 32 on 6 × 6, batch 1", "W5", nets.claim(6, 32), 1),
        Workload("W6 XNOR AlexNet 67 × 67, batch 2", "W6", nets.alexnet(67, 16), 2),
        Workload("W6 Bi-Real ResNet-18 32 × 32, batch 2", "W6", nets.bireal(32, 16), 2),
        Workload("W6 ReActNet-MobileNet 32 × 32, batch 2", "W6", nets.reactnet(32, 8), 2),
        Workload("W7 digits, batch 3", "W7", load(find("digits")), 3),
        Workload("W8 load digits", "W8", load(find("digits")), 1),
    )


def _signs(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    return (2 * rng.integers(0, 2, shape, np.int8) - 1).astype(np.int8)


class _Chain:
    """Layers one after the other, each reading the one before."""

    def __init__(self, first: Input) -> None:
        self.ops: list[Op] = [first]
        self.rng = np.random.default_rng(0)
        self.shape = first.shape
        self.spread = 2**8 / np.sqrt(3)  # of one factor: bytes 2 x − 255 first, ±1 after

    def add(self, made: type[Op], *fields: Any, **named: Any) -> None:
        self.ops.append(made(f"{made.__name__.lower()}{len(self.ops)}", (self.ops[-1].name,), *fields, **named))

    def linear(self, channels: int) -> None:
        self.depth, self.shape = self.shape[0], (channels,)
        self.add(Linear, _signs(self.rng, channels, self.depth))

    def conv(self, channels: int) -> None:
        self.depth = 9 * self.shape[2]
        self.add(Conv2d, _signs(self.rng, channels, 3, 3, self.shape[2]), padding=((1, 1), (1, 1)))
        self.shape = (*self.shape[:2], channels)

    def threshold(self) -> None:
        channels = self.shape[-1]
        around = self.rng.normal(0, self.spread * np.sqrt(self.depth) / 2, (channels, 1))
        self.add(Threshold, np.rint(around).astype(np.int32), self.rng.integers(0, 2, channels).astype(bool))
        self.spread = 1.0

    def pool(self) -> None:
        self.shape = (self.shape[0] // 2, self.shape[1] // 2, self.shape[2])
        self.add(MaxPool2d, (2, 2), (2, 2), np.zeros(self.shape[2], bool))

    def flatten(self) -> None:
        self.shape = (prod(self.shape),)
        self.add(Flatten)

    def end(self, classes: int) -> Graph:
        self.linear(classes)
        scale = self.rng.uniform(0.5, 1.5, classes) / np.sqrt(self.depth)
        self.add(Affine, scale.astype(np.float32), self.rng.normal(0, 0.1, classes).astype(np.float32))
        return Graph(tuple(self.ops))
