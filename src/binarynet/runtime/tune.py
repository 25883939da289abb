"""Measures what one of each count of native/kernels/counts.inc takes on this machine (`binarynet.runtime.prices`).

Small networks are run on one thread with each kernel, and each step of them is timed. A step says what it does, counted
(``Network.plan``); the price of each count is what makes Σ counts · price come closest to the times, in ratio.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet import _native

_SAME = ((1, 1), (1, 1))

_random = np.random.default_rng(0)
_ELSEWHERE = np.zeros(1 << 15)  # 256 KB, more than a first cache holds


class _Net:
    """A native network that is built op by op, with random contents."""

    def __init__(self, isa: str, kernel: str, shape: tuple[int, ...], encoding: str) -> None:
        self.network = _native.Network(isa, 1, kernel)
        self.shape, self.encoding = shape, encoding
        self.last = self.kept = self.network.add_input(shape, encoding)
        self.channels = shape[-1]

    def _planes(self, out: int, depth: int, encoding: str) -> NDArray[np.uint64]:
        bits = 2 if encoding == "t2" else int(encoding[1])
        words = _random.integers(0, 2**64, (bits, out, -(-depth // 64)), np.uint64)
        words[..., -1] &= np.uint64(2 ** (depth % 64 or 64) - 1)
        if encoding == "t2":
            words[1] &= ~words[0]  # codes 0, 1, 2
        return words

    def linear(self, out: int, encoding: str = "b1") -> None:
        depth, self.channels = self.channels, out
        if encoding == "f32":
            weight = _random.normal(size=(out, depth)).astype(np.float32)
            self.last = self.network.add_linear_f32("linear", self.last, weight)
        else:
            self.last = self.network.add_linear("linear", self.last, self._planes(out, depth, encoding), encoding)

    def conv(self, out: int, kernel: int = 3, encoding: str = "b1", groups: int = 1) -> None:
        depth, self.channels = kernel * kernel * self.channels // groups, out
        side = (kernel, kernel)
        self.last = self.network.add_conv2d(
            "conv", self.last, self._planes(out, depth, encoding), encoding, side, (1, 1), (1, 1), _SAME, 0, groups
        )

    def threshold_of_reals(self, encoding: str) -> None:
        self.threshold(encoding, real=True)

    def threshold(self, encoding: str = "b1", real: bool = False) -> None:
        levels = np.sort(_random.integers(-40, 40, (self.channels, (1 << int(encoding[1])) - 1)), axis=1)
        rising = _random.random(self.channels) < 0.5
        add = self.network.add_threshold_f32 if real else self.network.add_threshold_i32
        self.last = add("sign", self.last, levels.astype(np.float32 if real else np.int32), rising, encoding)

    def affine(self) -> None:
        ones = np.ones(self.channels, np.float32)
        self.last = self.network.add_affine("affine", self.last, ones, ones)

    def max_pool(self, side: int = 2) -> None:
        minimum = _random.random(self.channels) < 0.5
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


# The input's shape and encoding, then layers: methods of `_Net` and their arguments, where * stands for as many
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
    f"{shape} b1: conv *, affine, keep, threshold_of_reals b1, conv *, affine, add, keep, affine, add, sum_pool, "
    "threshold_of_reals b1"
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
_KINDS = {
    "popcount": _CODES,
    "tiles": _CODES,
    "vertical": _SIGNS,
    "bitsliced": _COMPARED,
    "": [*_OTHERS, *_RESIDUALS],
    "lookup": [*_BYTES, *_REALS],
    "multiply": _REALS,
}


def _network(isa: str, kernel: str, text: str) -> _Net:
    """The finished network of a line. ValueError where the instruction set has no such kernel."""
    first, _, layers = text.partition(": ")
    *shape, encoding = first.split()
    net = _Net(isa, kernel, tuple(map(int, shape)), encoding)
    for layer in layers.split(", "):
        name, *words = layer.split()
        getattr(net, name)(*(net.channels if word == "*" else int(word) if word.isdigit() else word for word in words))
    net.network.finish(net.last)
    return net


def samples(
    isa: str, batches: Sequence[int], milliseconds: float, most: float
) -> Iterator[tuple[str, dict[str, float], float]]:
    """(step, its counts, its nanoseconds) of every network, kernel and batch.

    ``milliseconds`` of measuring for each network and batch, of at most ``most`` products of bits in a run.
    """
    for kernel, lines in _KINDS.items():
        for text in lines:
            try:
                net = _network(isa, kernel, text)
            except ValueError:
                continue
            for batch in batches:
                plan = net.network.plan(batch)
                if (
                    1024
                    * sum(
                        step[5].get("popcounts", 0)
                        + step[5].get("tile_products", 0)
                        + 8 * step[5].get("code_lookups", 0)
                        + 512 * step[5].get("vertical_words", 0)
                        + 512 * step[5].get("sliced_words", 0)
                        for step in plan
                    )
                    > most
                ):
                    break
                for step, nanoseconds in zip(plan, _timed(net, batch, milliseconds), strict=True):
                    yield f"{step[0]} {step[1]} × {batch} of {text}", step[5], nanoseconds


def _timed(net: _Net, batch: int, milliseconds: float) -> NDArray[np.float64]:
    """Nanoseconds of each step, the median."""
    shape = (batch, *net.shape)
    images: NDArray[Any]
    if net.encoding == "f32":
        images = _random.random(shape, np.float32)
    else:
        images = _random.integers(0, 1 << int(net.encoding[1]), shape).astype(np.uint8)
    answers = np.empty(batch * net.network.output_numbers, np.float32 if net.network.output_is_float else np.int32)
    runs: list[Any] = []
    end = 0.0
    while len(runs) < 6 or time.perf_counter() < end:
        _ELSEWHERE.sum()  # as after the other layers of a large network, weights are no longer in the first cache
        runs.append(net.network.run_timed(images, answers))
        end = end or time.perf_counter() + milliseconds / 1e3  # the first run is a warm-up
    middle: NDArray[np.float64] = 1e9 * np.median(runs[1:], axis=0)
    return middle


def fit(counts: NDArray[np.float64], times: NDArray[np.float64], near: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices ≥ 0 with the least Σ log²(counts @ prices ÷ time): twice too much is as wrong as half.

    Each round solves log's tangent at the prices of the round before. What few steps tell stays near the prices that
    are known, all made dearer or cheaper alike: each counts as one step that measured them.
    """
    near = near * np.median(times / np.maximum(counts @ near, 1e-9))
    scale = np.ones(len(near))  # of each price
    rows = counts * near
    for _ in range(20):
        expected = np.maximum(rows @ scale, 0.1 * times)
        scale = _least_squares(rows / expected[:, None], 1 - np.log(expected / times), scale)
    prices: NDArray[np.float64] = near * scale
    return prices


def _least_squares(
    rows: NDArray[np.float64], target: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """x ≥ 0 with the least |rows @ x − target|² + |x − 1|², by coordinate descent."""
    gram, wanted, x = rows.T @ rows + np.eye(len(x)), rows.T @ target + 1, x.copy()
    for _ in range(200):
        for i in range(len(x)):
            x[i] = max(0.0, x[i] + (wanted[i] - gram[i] @ x) / gram[i, i])
    return x


def tune(
    isa: str, milliseconds: float = 1.0, batches: Sequence[int] = (1, 8, 64), most: float = 1e9
) -> tuple[dict[str, float], list[tuple[float, float, str]]]:
    """Fit the prices of an instruction set to this machine, from those it has, by small networks on one thread.

    Returns:
        count → nanoseconds; and for each step measured expected ÷ measured, its seconds, and what it is.
    """
    steps, works, times = zip(
        *samples(isa, batches, milliseconds, most if isa != "portable" else most / 20), strict=True
    )
    known = _native.prices(isa)
    names = list(known)
    counts = np.array([[work.get(name, 0.0) for name in names] for work in works])
    taken = np.array(times)
    prices = fit(counts, taken, np.array([known[name] for name in names]))
    ratios = counts @ prices / taken
    told = [(float(ratio), 1e-9 * float(took), step) for ratio, took, step in zip(ratios, taken, steps, strict=True)]
    return dict(zip(names, map(float, prices), strict=True)), told
