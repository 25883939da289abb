"""Fit the prices of native/kernels/costs to this machine, and say how well they predict what was measured.

    python benchmarks/costs.py [--write] [instruction set …]

Small networks are run, on one thread, with each instruction set and each kernel, and each step of them is timed. A step
says what it does, counted (`Network.plan`); the price of each count is what makes Σ counts · price come closest to the
times, in ratio, with no price below 0. With --write the numbers go into native/kernels/costs/<instruction set>.inc;
then build again.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from binarynet import _native

KERNELS = Path(__file__).parents[1] / "native" / "kernels"
COUNT = re.compile(r"^COUNT\((\w+), ", re.MULTILINE)
HEAD = """\
// PRICE(count of counts.inc, nanoseconds of one thread; 0: not used, or too cheap to see)
// Written by `python benchmarks/costs.py`, which fits the prices to the measured times of many small networks.
"""
SAME = ((1, 1), (1, 1))
BATCHES = (1, 2, 4, 8, 16, 24, 48, 100, 200)
MILLISECONDS = 3  # of measuring, for each network and batch
MOST = 20e9  # products of bits in one run of a network; an eightieth without vectors

random = np.random.default_rng(0)
Build = Callable[["Net"], None]


class Net:
    """A native network that is built op by op, with random contents."""

    def __init__(self, isa: str, kernel: str, shape: tuple[int, ...], encoding: str) -> None:
        self.network = _native.Network(isa, 1, kernel)
        self.shape, self.encoding = shape, encoding
        self.last = self.network.add_input(shape, encoding)
        self.channels = shape[-1]

    def _planes(self, out: int, depth: int, encoding: str) -> np.ndarray:
        bits = 2 if encoding == "t2" else int(encoding[1])
        words = random.integers(0, 2**64, (bits, out, -(-depth // 64)), np.uint64)
        words[..., -1] &= np.uint64(2 ** (depth % 64 or 64) - 1)
        if encoding == "t2":
            words[1] &= ~words[0]  # codes 0, 1, 2
        return words

    def linear(self, out: int, encoding: str = "b1") -> Net:
        depth, self.channels = self.channels, out
        if encoding == "f32":
            weight = random.normal(size=(out, depth)).astype(np.float32)
            self.last = self.network.add_linear_f32("linear", self.last, weight)
        else:
            self.last = self.network.add_linear("linear", self.last, self._planes(out, depth, encoding), encoding)
        return self

    def conv(self, out: int, kernel: int = 3, encoding: str = "b1", groups: int = 1) -> Net:
        depth, self.channels = kernel * kernel * self.channels // groups, out
        side = (kernel, kernel)
        self.last = self.network.add_conv2d(
            "conv", self.last, self._planes(out, depth, encoding), encoding, side, (1, 1), (1, 1), SAME, 0, groups
        )
        return self

    def threshold(self, encoding: str = "b1", real: bool = False) -> Net:
        levels = np.sort(random.integers(-40, 40, (self.channels, (1 << int(encoding[1])) - 1)), axis=1)
        rising = random.random(self.channels) < 0.5
        add = self.network.add_threshold_f32 if real else self.network.add_threshold_i32
        self.last = add("sign", self.last, levels.astype(np.float32 if real else np.int32), rising, encoding)
        return self

    def affine(self) -> Net:
        ones = np.ones(self.channels, np.float32)
        self.last = self.network.add_affine("affine", self.last, ones, ones)
        return self

    def flatten(self, features: int) -> Net:
        self.last, self.channels = self.network.add_flatten("flat", self.last), features
        return self

    def max_pool(self, side: int = 2) -> Net:
        minimum = random.random(self.channels) < 0.5
        self.last = self.network.add_max_pool2d(
            "pool", self.last, (side, side), (side, side), ((0, 0), (0, 0)), minimum
        )
        return self

    def sum_pool(self) -> Net:
        self.last = self.network.add_sum_pool2d("pool", self.last, (2, 2), (2, 2), ((0, 0), (0, 0)))
        return self

    def more(self) -> Net:
        """A residual, and what acts on each number alone."""
        self.last = self.network.add_relu("relu", self.network.add_add("add", self.last, self.last))
        slope = np.full(self.channels, 0.5, np.float32)
        self.last = self.network.add_prelu("prelu", self.affine().last, slope)
        return self


def networks() -> Iterator[tuple[tuple[int, ...], str, Build]]:
    """Input shape, its encoding, and what is built on it."""
    for depth, out in ((64, 64), (512, 10), (512, 256), (256, 1024), (2048, 512), (1024, 4096), (4096, 1024)):
        yield (depth,), "b1", lambda net, out=out: net.linear(out).threshold()
    for width, layers in ((2048, 2), (4096, 1), (4096, 3)):  # all weights together: 1, 2 and 6 MB
        yield (width,), "b1", lambda net, w=width, n=layers: [net.linear(w).threshold() for _ in range(n)]
    yield (4096,), "b1", lambda net: net.linear(10).affine()
    yield (784,), "b8", lambda net: net.linear(256).threshold()
    yield (784,), "b8", lambda net: net.linear(2048).threshold()
    yield (512,), "b1", lambda net: net.linear(512).threshold("u2").linear(512).threshold("u4").linear(100)
    yield (512,), "u2", lambda net: net.linear(300, "t2").threshold("b2").linear(300, "i4").threshold().linear(70, "t2")
    for side, channels, out in ((32, 3, 64), (16, 3, 128)):
        yield (side, side, channels), "b8", lambda net, out=out: net.conv(out).threshold().max_pool().conv(out)
    for side, channels, out in ((16, 64, 64), (16, 128, 128), (8, 256, 256), (8, 512, 512), (16, 48, 80)):
        yield (side, side, channels), "b1", lambda net, out=out: net.conv(out).threshold().max_pool().conv(out)
    yield (16, 16, 128), "b1", lambda net: net.conv(128, 1).threshold().conv(128, 5).threshold()
    yield (16, 16, 64), "b1", lambda net: net.conv(64).threshold("u2").conv(64, 3, "t2").threshold()
    yield (16, 16, 96), "b1", lambda net: net.conv(96, groups=3).threshold()


def signs() -> Iterator[tuple[tuple[int, ...], str, Build]]:
    """Networks of ±1 × ±1 alone."""
    for depth, out in ((64, 512), (512, 512), (512, 256), (256, 1024), (2048, 512), (1024, 4096), (4096, 1024)):
        yield (depth,), "b1", lambda net, out=out: net.linear(out).threshold()
    for width, layers in ((2048, 2), (4096, 1), (4096, 3)):
        yield (width,), "b1", lambda net, w=width, n=layers: [net.linear(w).threshold() for _ in range(n)]
    yield (1024,), "b1", lambda net: net.linear(1024)
    for side, channels, out in (
        (32, 128, 128),
        (16, 128, 256),
        (16, 64, 64),
        (8, 256, 512),
        (8, 512, 512),
        (7, 192, 300),
    ):
        yield (side, side, channels), "b1", lambda net, out=out: net.conv(out).threshold().conv(out)
    yield (16, 16, 128), "b1", lambda net: net.conv(512, 1).threshold().conv(128, 5).threshold()


def pointwise() -> Iterator[tuple[tuple[int, ...], str, Build]]:
    """Networks whose other layers are what is measured; of their products the engine chooses the kernel."""
    for side, channels in ((8, 64), (16, 128), (32, 32)):
        shape = (side, side, channels)
        yield shape, "b1", lambda net: net.conv(net.channels, groups=net.channels).threshold().max_pool()
        yield shape, "b1", lambda net: net.conv(net.channels, 5, groups=net.channels).affine()
        yield shape, "b1", lambda net: net.conv(net.channels).max_pool().sum_pool().threshold()
        yield shape, "b1", lambda net: net.conv(net.channels).affine().max_pool().sum_pool().threshold("u2", real=True)
        yield shape, "b1", lambda net: net.conv(net.channels).more()
        yield shape, "u4", lambda net: net.max_pool().sum_pool().threshold("u2")


def reals() -> Iterator[tuple[tuple[int, ...], str, Build]]:
    """Networks that read reals."""
    for depth, out in ((64, 64), (784, 256), (512, 1024)):
        for encoding in ("b1", "t2", "i4", "i8"):
            yield (depth,), "f32", lambda net, out=out, encoding=encoding: net.linear(out, encoding)
    for encoding in ("b1", "t2", "i8"):
        yield (16, 16, 32), "f32", lambda net, encoding=encoding: net.conv(64, 3, encoding)


def samples(isa: str) -> Iterator[tuple[str, dict[str, float], float]]:
    """(step, its counts, its nanoseconds at best) of every network, kernel and batch."""
    most = MOST if isa != "portable" else MOST / 80
    kinds = [("popcount", networks), ("vertical", signs), ("", pointwise), ("lookup", reals), ("multiply", reals)]
    if isa == "amx":
        kinds.insert(1, ("tiles", networks))
    for kernel, kind in kinds:
        for shape, encoding, build in kind():
            net = Net(isa, kernel, shape, encoding)
            build(net)
            net.network.finish(net.last)
            for batch in BATCHES:
                plan = net.network.plan(batch)
                if (
                    1024
                    * sum(
                        step[5].get("popcounts", 0)
                        + step[5].get("tile_products", 0)
                        + 512 * step[5].get("vertical_words", 0)
                        for step in plan
                    )
                    > most
                ):
                    break
                for step, nanoseconds in zip(plan, timed(net, batch), strict=True):
                    yield f"{step[0]} {step[1]} × {batch} of {shape}", step[5], nanoseconds


def timed(net: Net, batch: int) -> np.ndarray:
    """Nanoseconds of each step, at best."""
    shape = (batch, *net.shape)
    real = net.encoding == "f32"
    images = random.random(shape, np.float32) if real else random.integers(0, 1 << int(net.encoding[1]), shape)
    images = np.ascontiguousarray(images, np.float32 if real else np.uint8)
    answers = np.empty(batch * net.network.output_numbers, np.float32 if net.network.output_is_float else np.int32)
    runs, end = [], 0.0
    while len(runs) < 6 or time.perf_counter() < end:
        runs.append(net.network.run_timed(images, answers))
        end = end or time.perf_counter() + MILLISECONDS / 1e3  # the first run is a warm-up
    return 1e9 * np.min(runs[1:], axis=0)


def fit(counts: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Prices ≥ 0 with the least Σ log²(counts @ prices ÷ time): twice too much is as wrong as half.

    Each round solves log's tangent at the prices of the round before.
    """
    prices = _least_squares(counts / times[:, None], np.ones_like(times), np.zeros(counts.shape[1]))
    for _ in range(20):
        expected = np.maximum(counts @ prices, 0.1 * times)
        prices = _least_squares(counts / expected[:, None], 1 - np.log(expected / times), prices)
    return prices


def _least_squares(rows: np.ndarray, target: np.ndarray, x: np.ndarray) -> np.ndarray:
    """x ≥ 0 with the least |rows @ x − target|², by coordinate descent."""
    gram, wanted, x = rows.T @ rows, rows.T @ target, x.copy()
    for _ in range(1000):
        for i in np.flatnonzero(np.diag(gram)):
            x[i] = max(0.0, x[i] + (wanted[i] - gram[i] @ x) / gram[i, i])
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the prices into native/kernels/costs")
    parser.add_argument("--worst", type=int, default=0, help="how many of the steps to show that are predicted worst")
    parser.add_argument("isa", nargs="*", help="default: all that this CPU has")
    options = parser.parse_args()
    names = COUNT.findall((KERNELS / "counts.inc").read_text(encoding="utf-8"))
    for isa in options.isa or _native.available():
        steps, works, times = zip(*samples(isa), strict=True)
        counts = np.array([[work.get(name, 0.0) for name in names] for work in works])
        prices = fit(counts, np.array(times))
        ratio = counts @ prices / np.array(times)
        low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
        print(f"{isa}: {len(times)} steps; expected ÷ measured {middle:.2f}, of 80 % {low:.2f} … {high:.2f}")
        for i in np.argsort(-np.abs(np.log(ratio)))[: options.worst]:
            print(f"    {ratio[i]:5.2f}  {times[i] / 1e3:9.1f} µs  {steps[i]}")
        lines = HEAD + "".join(f"PRICE({name}, {price:.3g})\n" for name, price in zip(names, prices, strict=True))
        print(lines)
        if options.write:
            (KERNELS / "costs" / f"{isa}.inc").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
