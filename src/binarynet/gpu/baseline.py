"""What the papers' binary kernel was measured against: float32 products that know nothing of tensor cores.

``gemm`` of BinaryNet's Run-time folder (binary_kernels.cu) has a block of 16 × 16 threads for 16 × 16 outputs. It
brings 16 × 16 values of both matrices into shared memory, waits for all threads, and each adds 16 products to its one
output. The ratios of the papers, 23 × at 8192³ and 7 × on the MNIST net, are against that kernel.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from binarynet.gpu.language import INTERPRETED

BLOCK = 512 if INTERPRETED else 256
SIDE = 16
WARPS = 8
"""16 × 16 outputs, 8 · 32 threads: one each, as the authors have it."""


@triton.jit
def tiled_kernel(a, b, out, m, n, k, SIDE: tl.constexpr):
    """a (m, k) @ b (k, n) in float32: the authors' kernel, with masks where theirs reads past the end.

    A float32 `tl.dot` in full precision is made of multiply-adds on operands in shared memory: for a tile of this side
    16 a thread and a barrier on either side, as tests/gpu/test_compile.py reads off the machine code.
    """
    row = tl.program_id(1) * SIDE + tl.arange(0, SIDE)
    column = tl.program_id(0) * SIDE + tl.arange(0, SIDE)
    total = tl.zeros((SIDE, SIDE), tl.float32)
    for start in range(0, k, SIDE):
        depth = start + tl.arange(0, SIDE)
        left = tl.load(a + row[:, None] * k + depth[None, :], mask=(row < m)[:, None] & (depth < k)[None, :], other=0)
        right = tl.load(
            b + depth[:, None] * n + column[None, :], mask=(depth < k)[:, None] & (column < n)[None, :], other=0
        )  # fmt: skip
        total = tl.dot(left, right, total, input_precision="ieee")
    tl.store(out + row[:, None] * n + column[None, :], total, mask=(row < m)[:, None] & (column < n)[None, :])


@triton.jit
def untiled_kernel(a, b, out, m, n, k, BLOCK: tl.constexpr):
    """The same without a tile: one thread an output, nothing reused but by the caches."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < m * n
    row, column = at // n, at % n
    total = tl.zeros((BLOCK,), tl.float32)
    for step in range(k):
        left = tl.load(a + row * k + step, mask=live, other=0)
        total += left * tl.load(b + step * n + column, mask=live, other=0)
    tl.store(out + at, total, mask=live)


@torch.library.custom_op("binarynet::tiled_gemm", mutates_args=())
def tiled_gemm(a: Tensor, b: Tensor) -> Tensor:
    """a (m, k) @ b (k, n) in float32 by 16 × 16 tiles: the papers' baseline."""
    m, n = a.shape[0], b.shape[1]
    out = a.new_empty((m, n))
    grid = (triton.cdiv(n, SIDE), triton.cdiv(m, SIDE))
    tiled_kernel[grid](a, b, out, m, n, a.shape[1], SIDE=SIDE, num_warps=WARPS, num_stages=1)
    return out


@torch.library.custom_op("binarynet::untiled_gemm", mutates_args=())
def untiled_gemm(a: Tensor, b: Tensor) -> Tensor:
    """The same, one thread an output and no tile."""
    out = a.new_empty((a.shape[0], b.shape[1]))
    untiled_kernel[(triton.cdiv(out.numel(), BLOCK),)](a, b, out, *out.shape, a.shape[1], BLOCK=BLOCK, num_warps=8)
    return out


@tiled_gemm.register_fake
def _(a, b):
    return a.new_empty((a.shape[0], b.shape[1]))


@untiled_gemm.register_fake
def _(a, b):
    return a.new_empty((a.shape[0], b.shape[1]))
