"""The roofline: what this machine can do at most, and how long a workload must take on it at least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from binarynet.bench.suite.workloads import Workload
from binarynet.runtime import peaks

SIZES = tuple(kib << 10 for kib in (32, 256, 512, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 65536, 262144))
_COUNTING = ("avx512 popcount", "avx2 popcount")
_ADDING = ("avx512 adders", "avx2 adders")  # ±1 alone: vertical kernels, on rows of random signs
_TILES = ("amx int8", "avx512 vnni", "avx512 look-ups", "avx2 look-ups")  # any code of a byte × ±1
_REAL = ("avx512 fma", "avx2 fma")


@dataclass(frozen=True)
class Roof:
    """Peaks of so many threads together.

    Args:
        threads: how many measured at once.
        macs: arithmetic unit → multiply-adds a second, on registers alone.
        reads: bytes, shared out among the threads → bytes a second when they are read again and again.
    """

    threads: int
    macs: Mapping[str, float]
    reads: Mapping[int, float]

    @classmethod
    def measure(cls, threads: int) -> Roof:
        """About a second a thread count; each figure is the best of many loops, in processor time."""
        return cls(
            threads,
            {unit: peaks.arithmetic_rate(unit, threads) for unit in peaks.arithmetic_units()},
            {size: peaks.read_rate(size, threads) for size in SIZES},
        )

    def bandwidth(self, size: int) -> float:
        """Bytes a second for a working set of ``size`` bytes: between measured sizes, along a line of logarithms."""
        below = max((s for s in self.reads if s <= size), default=min(self.reads))
        above = min((s for s in self.reads if s >= size), default=max(self.reads))
        if below >= above:
            return self.reads[below]
        share = log(size / below) / log(above / below)
        between: float = self.reads[below] ** (1 - share) * self.reads[above] ** share
        return between

    def arithmetic(self, work: Workload) -> float | None:
        """Seconds for the multiply-adds: each layer on the unit that is fastest for it.

        Tiles, VNNI and look-ups take bytes, so 8-bit activations cost what ±1 do; counting pays for each of their bits.
        Adding words (the vertical kernels) takes ±1 alone.
        None where no unit could be measured.
        """
        total = 0.0
        for width, macs in work.macs.items():
            if width > 8:  # reals
                times = [macs / self.macs[unit] for unit in _REAL if self.macs.get(unit)]
                if not times:
                    return None
                total += min(times)
                continue
            times = [macs * width / self.macs[unit] for unit in _COUNTING if self.macs.get(unit)]
            times += [macs / self.macs[unit] for unit in _TILES if self.macs.get(unit)]
            times += [macs / self.macs[unit] for unit in _ADDING if width == 1 and self.macs.get(unit)]
            if not times:
                return None
            total += min(times)
        return total

    def memory(self, work: Workload) -> float:
        """Seconds to move each byte of input, packed weights and answer once, at the bandwidth of reading that many."""
        return work.bytes / self.bandwidth(work.bytes)

    def limit(self, work: Workload) -> float | None:
        """The larger of both: what no implementation on these units can beat."""
        arithmetic = self.arithmetic(work)
        return None if arithmetic is None else max(arithmetic, self.memory(work))
