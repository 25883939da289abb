"""faiss: all Hamming distances between two sets of packed rows. Products only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.peers import Array, NotHere, Peer
from binarynet.bench.suite.workloads import Workload, sole_weight


class This(Peer):
    packages: ClassVar[Mapping[str, str]] = {"faiss": "faiss-cpu"}
    ways: ClassVar[Mapping[str, str]] = {"hamming": "hammings() of bits, packed by numpy in the time"}

    def build(self, work: Workload) -> None:
        import faiss

        if not work.is_product:
            raise NotHere("kernels only, no networks")
        faiss.omp_set_num_threads(self.threads)
        self.library: Any = faiss
        weight = sole_weight(work)
        self.depth = weight.shape[1]
        self.images = work.images()
        self.weight = np.packbits(weight > 0, axis=1)
        self.into = np.empty((work.batch, len(weight)), np.int32)

    def run(self) -> Array:
        rows = np.packbits(self.images, axis=1)
        at, call = self.library.swig_ptr, self.library.hammings
        bytes_each = self.depth // 8
        call(at(rows), at(self.weight), len(rows), len(self.weight), bytes_each, at(self.into))
        return self.into

    def answer(self, raw: Any) -> Array:
        array: Array = self.depth - 2 * raw
        return array
