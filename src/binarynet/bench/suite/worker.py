"""The process of one peer: ``python -m binarynet.bench.suite.worker PEER WAY THREADS``.

One request a line on standard input, one answer a line on standard output, both JSON. Libraries that print do so on
standard error. A process of its own keeps thread pools, allocators and crashes of libraries apart.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from binarynet.bench.suite import peers
from binarynet.bench.suite.workloads import workloads

_LEAST = 0.002  # seconds of one sample, so that the clock does not matter
_SLOW = 0.05  # a call as long as this warms itself up


class Worker:
    def __init__(self, peer: str, way: str, threads: int) -> None:
        self.kind, self.way, self.threads = peers.get(peer), way, threads
        self.peer: peers.Peer | None = None
        self.seconds = 0.0  # of one call

    def build(self, work: str, tiny: bool, expected: str) -> dict[str, Any]:
        """Prepare a workload by its name, run it once, compare; ``{"none": why}`` where there is no such thing."""
        self.peer = None
        gc.collect()
        found = next(each for each in workloads(tiny=tiny) if each.name == work)
        peer = self.kind(self.way, self.threads)
        try:
            if not peer.has(found):
                raise peers.NotHere("it has no such work, or its answers are no bits")
            peer.build(found)
        except peers.NotHere as reason:
            return {"none": str(reason)}
        begin = time.perf_counter()
        answer = peer.answer(peer.run())
        self.seconds = time.perf_counter() - begin
        known = np.load(expected, mmap_mode="r")
        answers = peers.compared(answer[: len(known)], known, peer.promise(found))
        self.peer = peer
        for _ in range(0 if self.seconds > _SLOW else 2):  # the second is warm
            self.seconds = self._repeat(peer.run, 1)
        return {"answers": answers, "details": peer.details()}

    def time(self, seconds: float) -> dict[str, Any]:
        """Seconds a call, of several runs."""
        assert self.peer is not None
        call = self.peer.run
        if self.seconds < _SLOW:
            self._repeat(call, max(1, round(_LEAST / max(self.seconds, 1e-9))))
        samples: list[float] = []
        deadline = time.perf_counter() + seconds
        while not samples or time.perf_counter() < deadline:
            times = max(1, round(_LEAST / max(self.seconds, 1e-9)))
            samples.append(self._repeat(call, times))
            self.seconds = min(samples)
        return {"samples": samples}

    @staticmethod
    def _repeat(call: Callable[[], object], times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - begin) / times


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    peer, way, threads = sys.argv[1:]
    worker = Worker(peer, way, int(threads))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # whatever a library throws is a row of the report, not the end of it
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
