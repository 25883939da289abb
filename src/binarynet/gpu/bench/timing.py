"""The clock, and what the chip could do at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ROUNDS = 3
_MOST = 200  # samples of one call in a round
_CACHE = 1 << 29  # bytes written between two calls, many times what a cache holds

# Multiply-adds a clock and multiprocessor, by compute capability: int8 and fp16 on the tensor cores (dense), fp32 on
# the CUDA cores. From NVIDIA's architecture papers (A100, GA102, AD102, H100). Other chips have no such shares, and of
# the one-bit rate of 9.0 no paper speaks (benchmarks/gpu/rate.py measures it).
_RATES = {
    (8, 0): {"one-bit": 16384, "int8": 2048, "float16": 1024, "tf32": 512, "float32": 64},
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


@contextmanager
def exact_libraries() -> Iterator[None]:
    """cuBLAS and cuDNN without the shorter sums that torch allows them: TF32, and split sums in half precision."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    names = ("allow_tf32", "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
    before = {name: getattr(matmul, name) for name in names}, cudnn.allow_tf32
    try:
        for name in names:
            setattr(matmul, name, False)
        cudnn.allow_tf32 = False
        yield
    finally:
        for name, value in before[0].items():
            setattr(matmul, name, value)
        cudnn.allow_tf32 = before[1]


def interleaved(
    device: torch.device,
    calls: Mapping[str, Callable[[], object]],
    seconds: float,
    failed: Callable[[str, Exception], None],
) -> dict[str, list[float]]:
    """Seconds of each call: [10th percentile, median, 90th percentile], over rounds in which each has its turn.

    On a GPU the clock is CUDA events, and the cache is emptied before each call. A call that raises is handed to
    ``failed`` and left out.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name in list(samples):
            try:
                samples[name] += _samples(device, calls[name], seconds / _ROUNDS)
            except Exception as error:  # whatever it is, the others are measured
                failed(name, error)
                del samples[name]
    return {name: [float(value) for value in np.quantile(one, [0.1, 0.5, 0.9])] for name, one in samples.items()}


def replayable(call: Callable[[], Tensor]) -> Callable[[], object]:
    """The call as a recording that is replayed: what a session does with small batches."""
    from binarynet.gpu.runner import record

    return record(call)[0].replay


def _samples(device: torch.device, call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of single calls, as many as fit, at least one; a first call is not among them."""
    if device.type != "cuda":
        start = time.perf_counter()
        call()
        return [time.perf_counter() - start]
    emptied = torch.empty(_CACHE, dtype=torch.int8, device=device)

    def one() -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        # What fills the cache takes longer than Python needs for the call that follows: no gap is timed.
        emptied.zero_()
        start.record()
        call()
        end.record()
        end.synchronize()
        return 1e-3 * start.elapsed_time(end)

    first = one()
    return [one() for _ in range(min(_MOST, max(1, round(seconds / first))))]
