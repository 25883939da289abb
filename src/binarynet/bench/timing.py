"""Timing: several things measured in turn in one process, with median, spread, and what is needed to doubt them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from binarynet.runtime.prices import processor


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median over ``runs`` runs, and the 10th and 90th percentile."""

    median: float
    low: float
    high: float
    runs: int


def interleaved(calls: Mapping[str, Callable[[], object]], seconds: float = 1.0) -> dict[str, Timing]:
    """Time each call in turn, A B C A B C …, for ``seconds`` each, so that a machine that slows down slows all alike.

    Each run repeats its call until it lasts 2 ms, so that the clock does not matter. One round is thrown away.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    deadline = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < deadline or min(map(len, samples.values())) < 5:
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            samples[name].append((time.perf_counter() - start) / repeats[name])
    return {
        name: Timing(
            median=float(np.median(runs[1:])),
            low=float(np.quantile(runs[1:], 0.1)),
            high=float(np.quantile(runs[1:], 0.9)),
            runs=len(runs) - 1,
        )
        for name, runs in samples.items()
    }


def _repeats(call: Callable[[], object]) -> int:
    call()
    start = time.perf_counter()
    call()
    return max(1, round(0.002 / max(time.perf_counter() - start, 1e-9)))


def machine() -> dict[str, str]:
    """The processor, its cores that this process may use, and the versions that matter."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": str(cores),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
