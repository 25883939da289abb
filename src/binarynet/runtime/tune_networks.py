"""Small networks, written a line each, whose steps `binarynet.runtime.tune` times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet import _native

_SAME = ((1, 1), (1, 1))

random = np.random.default_rng(0)
# What runs between two runs that are timed: in a large network a layer's weights and code have left the first cache,
# and what branches it takes is not known from a moment ago.
BETWEEN = (
    "8 8 64 b1: conv *, affine, keep, threshold_of_reals, conv *, affine, add, threshold_of_reals, "
    "conv 128, threshold u2"
)


class Net:
    """A native network that is built op by op, with random contents."""

    def __init__(self, isa: str, kernel: str, shape: tuple[int, ...], encoding: str) -> None:
        self.network = _native.Network(isa, 1, kernel)
        self.shape, self.encoding = shape, encoding
        self.last = self.kept = self.network.add_input(shape, encoding)
        self.channels = shape[-1]

    def _planes(self, out: int, depth: int, encoding: str) -> NDArray[np.uint64]:
        bits = 2 if encoding == "t2" else int(encoding[1])
        words = random.integers(0, 2**64, (bits, out, -(-depth // 64)), np.uint64)
        words[..., -1] &= np.uint64(2 ** (depth % 64 or 64) - 1)
        if encoding == "t2":
            words[1] &= ~words[0]  # codes 0, 1, 2
        return words

    def linear(self, out: int, encoding: str = "b1") -> None:
        depth, self.channels = self.channels, out
        if encoding == "f32":
            weight = random.normal(size=(out, depth)).astype(np.float32)
            self.last = self.network.add_linear_f32("linear", self.last, weight)
        else:
            self.last = self.network.add_linear("linear", self.last, self._planes(out, depth, encoding), encoding)

    def conv(self, out: int, kernel: int = 3, encoding: str = "b1", groups: int = 1) -> None:
        depth, self.channels = kernel * kernel * self.channels // groups, out
        side = (kernel, kernel)
        self.last = self.network.add_conv2d(
            "conv", self.last, self._planes(out, depth, encoding), encoding, side, (1, 1), (1, 1), _SAME, 0, groups
        )

    def threshold_of_reals(self, encoding: str = "b1") -> None:
        self.threshold(encoding, real=True)

    def threshold(self, encoding: str = "b1", real: bool = False) -> None:
        levels = np.sort(random.integers(-40, 40, (self.channels, (1 << int(encoding[1])) - 1)), axis=1)
        rising = random.random(self.channels) < 0.5
        add = self.network.add_threshold_f32 if real else self.network.add_threshold_i32
        self.last = add("sign", self.last, levels.astype(np.float32 if real else np.int32), rising, encoding)

    def affine(self) -> None:
        ones = np.ones(self.channels, np.float32)
        self.last = self.network.add_affine("affine", self.last, ones, ones)

    def max_pool(self, side: int = 2) -> None:
        minimum = random.random(self.channels) < 0.5
        self.last = self.network.add_max_pool2d(
            "pool", self.last, (side, side), (side, side), ((0, 0), (0, 0)), minimum
        )

    def sum_pool(self) -> None:
        self.last = self.network.add_sum_pool2d("pool", self.last, (2, 2), (2, 2), ((0, 0), (0, 0)))

    def keep(self) -> None:
        """What the next `add` adds."""
        self.kept = self.last

    def add(self) -> None:
        self.last = self.network.add_add("add", self.last, self.kept)

    def more(self) -> None:
        """A residual, and what acts on each number alone."""
        self.last = self.network.add_relu("relu", self.network.add_add("add", self.last, self.last))
        slope = np.full(self.channels, 0.5, np.float32)
        self.affine()
        self.last = self.network.add_prelu("prelu", self.last, slope)


def _dense(*pairs: str) -> list[str]:
    """ "512 256": ±1 of 512 inputs, 256 outputs that become bits."""
    return [f"{depth} b1: linear {out}, threshold" for depth, out in (pair.split() for pair in pairs)]


# The input's shape and encoding, then layers: methods of `Net` and their arguments, where * stands for as many
# channels as there are.
_MANY = ["64 64", "512 10", "512 256", "256 1024", "2048 512", "1024 4096", "4096 1024", "4096 4096"]
_CODES = [
    *_dense(*_MANY),
    "2048 b1: linear 2048, threshold, linear 2048, threshold",  # all weights together: 1, 2 and 6 MB
    "4096 b1: linear 4096, threshold, linear 4096, threshold, linear 4096, threshold",
    "4096 b1: linear 10, affine",
    "784 b8: linear 256, threshold",
    "784 b8: linear 2048, threshold",
    "512 b1: linear 512, threshold u2, linear 512, threshold u4, linear 100",
    "512 u2: linear 300 t2, threshold b2, linear 300 i4, threshold, linear 70 t2",
    *(f"{shape} b8: conv {out}, threshold, max_pool, conv {out}" for shape, out in (("32 32 3", 64), ("16 16 3", 128))),
    *(
        f"{side} {side} {channels} b1: conv {out}, threshold, max_pool, conv {out}"
        for side, channels, out in ((16, 64, 64), (16, 128, 128), (8, 256, 256), (8, 512, 512), (16, 48, 80))
    ),
    "16 16 128 b1: conv 128 1, threshold, conv 128 5, threshold",
    "16 16 64 b1: conv 64, threshold u2, conv 64 3 t2, threshold",
    "16 16 96 b1: conv 96 3 b1 3, threshold",
]
_SIGNS = [
    *_dense("64 512", "512 512", "512 256", "256 1024", "2048 512", "1024 4096", "4096 1024", "4096 4096"),
    "2048 b1: linear 2048, threshold, linear 2048, threshold",
    "4096 b1: linear 4096, threshold, linear 4096, threshold, linear 4096, threshold",
    "1024 b1: linear 1024",
    *(
        f"{side} {side} {channels} b1: conv {out}, threshold, conv {out}"
        for side, channels, out in ((32, 128, 128), (16, 128, 256), (16, 64, 64), (8, 256, 512), (8, 512, 512))
    ),
    "7 7 192 b1: conv 300, threshold, conv 300",
    "16 16 128 b1: conv 512 1, threshold, conv 128 5, threshold",
]
_COMPARED = [
    *_dense("512 512", "1024 1024", "2048 512", "100 130"),
    *(
        f"{side} {side} {channels} b1: conv {out}, threshold"
        for side, channels, out in ((32, 128, 128), (16, 128, 256), (8, 256, 512), (7, 192, 300), (28, 64, 64))
    ),
]
_BYTES = [
    *(f"{depth} b8: linear {out}, threshold" for depth, out in ((784, 256), (784, 2048), (100, 4096))),
    "32 32 3 b8: conv 128, threshold",
    "28 28 1 b8: conv 32 5, threshold",
    "16 16 3 b8: conv 64, threshold",
]
_OTHERS = [  # whose other layers are what is measured; of their products the engine chooses the kernel
    f"{shape} {layers}"
    for shape in ("8 8 64", "16 16 128", "32 32 32")
    for layers in (
        "b1: conv * 3 b1 *, threshold, max_pool",
        "b1: max_pool 3, conv *, threshold",
        "b1: conv * 5 b1 *, affine",
        "b1: conv *, max_pool, sum_pool, threshold",
        "b1: conv *, affine, max_pool, sum_pool, threshold_of_reals u2",
        "b1: conv *, more",
        "u4: max_pool, sum_pool, threshold u2",
    )
]
_RESIDUALS = [
    f"{shape} b1: conv *, affine, keep, threshold_of_reals, conv *, affine, add, keep, affine, add, sum_pool, "
    "threshold_of_reals"
    for shape in ("56 56 64", "28 28 128", "14 14 256", "7 7 512")
]
_REALS = [
    *(
        f"{depth} f32: linear {out} {encoding}"
        for depth, out in ((64, 64), (784, 256), (512, 1024))
        for encoding in ("b1", "t2", "i4", "i8")
    ),
    *(f"16 16 32 f32: conv 64 3 {encoding}" for encoding in ("b1", "t2", "i8")),
    *(f"{depth} f32: linear {out} f32" for depth, out in ((128, 10), (784, 256), (512, 1000))),
]
KINDS = {
    "popcount": _CODES,
    "tiles": _CODES,
    "vertical": _SIGNS,
    "bitsliced": _COMPARED,
    "": [*_OTHERS, *_RESIDUALS],
    "lookup": [*_BYTES, *_REALS],
    "multiply": _REALS,
}


def network(isa: str, kernel: str, text: str) -> Net:
    """The finished network of a line. ValueError where the instruction set has no such kernel."""
    first, _, layers = text.partition(": ")
    *shape, encoding = first.split()
    net = Net(isa, kernel, tuple(map(int, shape)), encoding)
    for layer in layers.split(", "):
        name, *words = layer.split()
        getattr(net, name)(*(net.channels if word == "*" else int(word) if word.isdigit() else word for word in words))
    net.network.finish(net.last)
    return net
