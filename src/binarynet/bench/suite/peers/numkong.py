"""NumKong (formerly SimSIMD): Hamming distances of packed rows, and dot products of bytes. Products only."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.peers import Array, NotHere, Peer
from binarynet.bench.suite.workloads import Workload, sole_weight


class This(Peer):
    packages: ClassVar[Mapping[str, str]] = {"numkong": "numkong"}
    ways: ClassVar[Mapping[str, str]] = {
        "u1": "hammings_packed of bits, packed by numpy in the time",
        "int8": "dots_packed of s8",
    }

    def build(self, work: Workload) -> None:
        import numkong

        if not work.is_product:
            raise NotHere("kernels only, no networks")
        self.library = numkong
        weight = sole_weight(work)
        images = work.images()
        self.depth = weight.shape[1]
        self.into = numkong.zeros((work.batch, len(weight)), dtype="uint32" if self.way == "u1" else "int32")
        if self.way == "u1":
            self.images: Array = images
            packed = np.packbits(weight > 0, axis=1)
            self.weight = numkong.hammings_pack(packed, dtype="uint1")
        else:
            self.images = (2 * images.astype(np.int8) - 1).astype(np.int8)
            self.weight = numkong.dots_pack(weight)
        # The library leaves threads to its caller: each takes a range of rows.
        self.pool = ThreadPoolExecutor(self.threads)
        edges = np.linspace(0, work.batch, self.threads + 1).astype(int)
        self.ranges = [(int(a), int(b)) for a, b in pairwise(edges) if b > a]

    def run(self) -> Any:
        rows: Array = np.packbits(self.images, axis=1) if self.way == "u1" else self.images
        call = self.library.hammings_packed if self.way == "u1" else self.library.dots_packed

        def part(begin: int, end: int) -> None:
            call(rows, self.weight, out=self.into, start_row=begin, end_row=end)

        if len(self.ranges) == 1:
            part(*self.ranges[0])
        else:
            for done in [self.pool.submit(part, *each) for each in self.ranges]:
                done.result()
        return self.into

    def answer(self, raw: Any) -> Array:
        array: Array = np.asarray(raw)
        return self.depth - 2 * array.astype(np.int64) if self.way == "u1" else array
