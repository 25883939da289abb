"""Measures what one of each count of native/kernels/counts.inc takes on this machine (`binarynet.runtime.prices`).

Small networks are run on one thread with each kernel, and each step of them is timed. A step says what it does, counted
(``Network.plan``); the price of each count is what makes Σ counts · price come closest to the times, in ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet import _native
from binarynet.runtime.tune_networks import BETWEEN, KINDS, Net, network, random


def samples(
    isa: str, batches: Sequence[int], milliseconds: float, most: float
) -> Iterator[tuple[str, dict[str, float], float]]:
    """(step, its counts, its nanoseconds) of every network, kernel and batch.

    ``milliseconds`` of measuring for each network and batch, of at most ``most`` products of bits in a run.
    """
    other = network(isa, "", BETWEEN)
    image = random.integers(0, 2, (1, *other.shape)).astype(np.uint8)
    answer = np.empty(other.network.output_numbers, np.int32)
    memory = np.zeros(1 << 14)  # 128 KB

    def between() -> None:
        other.network.run(image, answer)
        memory.sum()

    for kernel, lines in KINDS.items():
        for text in lines:
            try:
                net = network(isa, kernel, text)
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
                for step, nanoseconds in zip(plan, _timed(net, batch, milliseconds, between), strict=True):
                    yield f"{step[0]} {step[1]} × {batch} of {text}", step[5], nanoseconds


def _timed(net: Net, batch: int, milliseconds: float, between: Callable[[], object]) -> NDArray[np.float64]:
    """Nanoseconds of each step, the median. Before each run ``between`` is called."""
    shape = (batch, *net.shape)
    images: NDArray[Any]
    if net.encoding == "f32":
        images = random.random(shape, np.float32)
    else:
        images = random.integers(0, 1 << int(net.encoding[1]), shape).astype(np.uint8)
    answers = np.empty(batch * net.network.output_numbers, np.float32 if net.network.output_is_float else np.int32)
    runs: list[Any] = []
    end = 0.0
    while len(runs) < 6 or time.perf_counter() < end:
        between()
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
