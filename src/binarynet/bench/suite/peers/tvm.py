"""TVM: its operator ``topi.nn.binary_dense``, scheduled and compiled for this CPU by LLVM. Products only.

The schedule keeps 4 rows × 4 vectors of 16 channels in registers; the weights come interleaved for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.peers import Array, NotHere, Peer
from binarynet.bench.suite.workloads import Workload, sole_weight

_LANES = 16  # channels in a 512-bit vector
_TILE = 4  # vectors, and rows, of a block


class This(Peer):
    packages: ClassVar[Mapping[str, str]] = {"tvm": "apache-tvm"}
    ways: ClassVar[Mapping[str, str]] = {"binary_dense": "xor + popcount of packed words; packed by numpy in the time"}

    def build(self, work: Workload) -> None:
        import tvm

        if not work.is_product:
            raise NotHere("kernels only, no networks")
        weight = sole_weight(work)
        channels, depth = weight.shape
        words = depth // 32
        panels = np.packbits(weight > 0, axis=1).view(np.uint32).reshape(-1, _LANES, words).transpose(0, 2, 1)
        self.images = work.images()
        cpu = tvm.cpu()
        self.rows = tvm.runtime.empty((work.batch, words), "uint32", cpu)
        self.weight = tvm.runtime.tensor(np.ascontiguousarray(panels), cpu)
        self.into = tvm.runtime.empty((work.batch, channels), "float32", cpu)
        target = tvm.target.Target({"kind": "llvm", "mcpu": _processor(), "num-cores": self.threads})
        with target:
            self.call = tvm.compile(_scheduled(work.batch, channels, words), target=target)["main"]

    def run(self) -> Any:
        self.rows.copyfrom(np.packbits(self.images, axis=1).view(np.uint32))
        self.call(self.rows, self.weight, self.into)
        return self.into

    def answer(self, raw: Any) -> Array:
        array: Array = raw.numpy()
        return array


def _processor() -> str:
    """LLVM's name of this CPU, which says what its instructions are."""
    from tvm import get_global_func

    name: str = get_global_func("target.llvm_get_system_cpu")()
    return name


def _scheduled(rows: int, channels: int, words: int) -> Any:
    from tvm import te, topi
    from tvm.s_tir import Schedule

    a = te.placeholder((rows, words), dtype="uint32", name="a")
    w = te.placeholder((channels, words), dtype="uint32", name="w")
    schedule = Schedule(te.create_prim_func([a, w, topi.nn.binary_dense(a, w)]))
    counts, answers = schedule.get_sblock("compute"), schedule.get_sblock("compute_1")
    schedule.transform_layout(counts, ("read", 1), lambda n, k: (n // _LANES, k, n % _LANES))
    i, j = schedule.get_loops(answers)
    i_block, i_in = schedule.split(i, [None, min(_TILE, rows)])
    j_block, j_vector, j_lane = schedule.split(j, [None, min(_TILE, channels // _LANES), _LANES])
    schedule.reorder(j_block, i_block, i_in, j_vector, j_lane)
    schedule.vectorize(j_lane)
    schedule.parallel(j_block)
    schedule.compute_at(counts, i_block)
    *rows_in, j, k = schedule.get_loops(counts)[2:]
    j_vector, j_lane = schedule.split(j, [None, _LANES])
    schedule.reorder(k, *rows_in, j_vector, j_lane)
    schedule.vectorize(j_lane)  # before the sums are split into a first and the others, which hides what may be done
    for loop in (*rows_in, j_vector):
        schedule.unroll(loop)
    first = schedule.decompose_reduction(counts, k)
    *inner, j_lane = schedule.get_loops(first)[2:]
    schedule.vectorize(j_lane)
    for loop in inner:
        schedule.unroll(loop)
    return schedule.mod
