"""The clock, and what the chip could do at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

_ROUNDS = 3

# Multiply-adds a clock and multiprocessor, by compute capability: int8 and fp16 on the tensor cores (dense), fp32 on
# the CUDA cores. From NVIDIA's architecture papers (A100, GA102, AD102, H100). Other chips have no such shares.
_RATES = {
    (8, 0): {"int8": 2048, "float16": 1024, "tf32": 512, "float32": 64},
    (8, 6): {"int8": 1024, "float16": 512, "tf32": 128, "float32": 128},
    (8, 9): {"int8": 1024, "float16": 512, "tf32": 128, "float32": 128},
    (9, 0): {"int8": 4096, "float16": 2048, "tf32": 1024, "float32": 128},
}
_POPCOUNTS = 16
"""32-bit population counts a clock and multiprocessor, on 8.x and 9.0 (CUDA C++ programming guide, throughput of
arithmetic instructions); each is worth 32 multiply-adds of ±1."""


@dataclass(frozen=True)
class Chip:
    """``clock`` in Hz, ``bandwidth`` in bytes a second, ``rates`` in multiply-adds a second by the unit's name."""

    name: str
    capability: str
    multiprocessors: int
    clock: float
    bandwidth: float
    rates: Mapping[str, float]

    @classmethod
    def of(cls, device: torch.device) -> Chip:
        """Read off the driver; nothing is known of a CPU, where every share is left out."""
        if device.type != "cuda":
            return cls("Triton's interpreter", "", 0, 0.0, 0.0, {})
        import triton

        found = triton.runtime.driver.active.utils.get_device_properties(device.index or 0)
        capability = torch.cuda.get_device_capability(device)
        clock, count = 1e3 * found["sm_clock_rate"], found["multiprocessor_count"]
        rates = {unit: rate * clock * count for unit, rate in _RATES.get(capability, {}).items()}
        if rates:
            rates["popcount"] = 32 * _POPCOUNTS * clock * count
        return cls(
            torch.cuda.get_device_name(device),
            f"{capability[0]}.{capability[1]}",
            count,
            clock,
            1e3 * found["mem_clock_rate"] * 2 * found["mem_bus_width"] / 8,  # two transfers a clock
            rates,
        )

    def share(self, unit: str, macs: float, seconds: float) -> float | None:
        """Which part of what that unit can do at most was reached."""
        return macs / seconds / self.rates[unit] if unit in self.rates else None

    def bandwidth_share(self, moved: float, seconds: float) -> float | None:
        """The time that memory needs to move so many bytes once, as a part of the time taken."""
        return moved / self.bandwidth / seconds if self.bandwidth else None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def interleaved(
    device: torch.device, calls: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, list[float]]:
    """Seconds of each call: [10th percentile, median, 90th percentile], over rounds in which each has its turn.

    On a GPU the clock is CUDA events, and the cache is emptied before each call (`triton.testing.do_bench`).
    """
    samples: dict[str, list[list[float]]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            samples[name].append(_quantiles(device, call, seconds / _ROUNDS))
    return {name: list(np.median(np.array(rounds), axis=0)) for name, rounds in samples.items()}


def _quantiles(device: torch.device, call: Callable[[], object], seconds: float) -> list[float]:
    if device.type == "cuda":
        from triton.testing import do_bench

        found = do_bench(call, warmup=10, rep=max(1, round(1e3 * seconds)), quantiles=[0.1, 0.5, 0.9])
        return [1e-3 * value for value in found]
    start = time.perf_counter()
    call()
    return [time.perf_counter() - start] * 3
