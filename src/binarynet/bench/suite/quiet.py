"""Was the machine quiet? What all other processes took of it while one of ours was timed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")


def _busy() -> float | None:
    """Seconds that all cores together have worked, or that a host took from them; None where nobody tells."""
    try:
        fields = _STAT.read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, soft, *steal = map(int, fields[1:9])
    return (user + nice + system + irq + soft + sum(steal)) / os.sysconf("SC_CLK_TCK")


def _own(pid: int) -> float:
    """Seconds of processor time of a process and its threads; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Watch:
    """Started before a measurement, asked after it."""

    pid: int
    began: float
    busy: float | None
    own: float

    @classmethod
    def start(cls, pid: int) -> Watch:
        return cls(pid, time.perf_counter(), _busy(), _own(pid) + _own(os.getpid()))

    def others(self) -> float | None:
        """How many cores all processes but the watched one (and this one) kept busy since `start`; None: unknown.

        The system counts in hundredths of a second, so short watches are coarse.
        """
        busy, passed = _busy(), time.perf_counter() - self.began
        if busy is None or self.busy is None:
            return None
        own = _own(self.pid) + _own(os.getpid()) - self.own
        return max(0.0, busy - self.busy - own) / passed


def wait(seconds: float, calm: float = 0.05) -> float | None:
    """Wait until other processes use less than ``calm`` of a core, at most ``seconds``; the use last seen."""
    deadline = time.perf_counter() + seconds
    while True:
        watch = Watch.start(os.getpid())
        time.sleep(0.2)
        others = watch.others()
        if others is None or others <= calm or time.perf_counter() > deadline:
            return others
