"""What all kernels share, in Triton: counting bits, finding the window of a convolution, finishing a tile.

Each kernel makes tiles of an integer matrix ``raw`` (pixels, channels) and hands them to `finish`, which knows the
four things that may leave a kernel: the accumulator itself, one bit a channel, a small code, or a float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton
import triton.language as tl
from triton.testing import do_bench

INTERPRETED: bool = triton.knobs.runtime.interpret
"""Whether this process runs kernels in Triton's interpreter, on the CPU; decided when this module is imported."""
_INTERPRETED = tl.constexpr(INTERPRETED)

ACCUMULATOR, BITS, CODES, AFFINE = (tl.constexpr(n) for n in range(4))


def quick(call: Callable[[], object], quantiles: Sequence[float]) -> Any:
    """How a tile is timed where the fastest is sought: in 20 ms, where Triton by itself takes 125."""
    return do_bench(call, warmup=5, rep=15, quantiles=list(quantiles))


# Places in the tuple GEOMETRY that describes a convolution; None stands for a plain matrix product.
FIELDS = (
    "height", "width", "rows", "columns", "kernel_width", "stride_y", "stride_x", "dilation_y", "dilation_x",
    "top", "left",
)  # fmt: skip


@triton.jit
def popcount(x):
    """Bits of each uint32 as int32: one instruction; in the interpreter, sums of neighbours 2, 4 and 8 bits wide."""
    if not _INTERPRETED:
        return tl.inline_asm_elementwise("popc.b32 $0, $1;", "=r,r", [x], dtype=tl.int32, is_pure=True, pack=1)
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return ((x * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def popcount_long(x):
    """Bits of each uint64: of its two halves, which are registers."""
    return popcount(x.to(tl.uint32)) + popcount((x >> 32).to(tl.uint32))


@triton.jit
def lowest_digit(octets):
    """Bytes → their lowest bits as int8 0 / 1. On the GPU four bytes at a time, in the register that holds them."""
    if _INTERPRETED:
        return (octets & 1).to(tl.int8)
    return tl.inline_asm_elementwise(
        "and.b32 $0, $1, 0x01010101;", "=r,r", [octets], dtype=tl.int8, is_pure=True, pack=4
    )


@triton.jit
def lowest_sign(octets):
    """Bytes → ±1 as int8 by their lowest bits: 2 · bit − 1, where (2 · bit + 0x7f) ^ 0x80 never borrows."""
    if _INTERPRETED:
        return (octets & 1).to(tl.int8) * 2 - 1
    return tl.inline_asm_elementwise(
        "and.b32 $0, $1, 0x01010101; shl.b32 $0, $0, 1; add.u32 $0, $0, 0x7f7f7f7f; xor.b32 $0, $0, 0x80808080;",
        "=r,r",
        [octets],
        dtype=tl.int8,
        is_pure=True,
        pack=4,
    )


@triton.jit
def next_digit(octets):
    """Each byte moved right by one; what comes in from the neighbour is behind the eight digits that are read."""
    if _INTERPRETED:
        return octets >> 1
    return tl.inline_asm_elementwise("shr.u32 $0, $1, 1;", "=r,r", [octets], dtype=tl.uint8, is_pure=True, pack=4)


@triton.jit
def under(pixel, tap, GEOMETRY: tl.constexpr):
    """Which input pixel lies under output pixel ``pixel`` at one tap of the kernel, and whether it is in the image."""
    row = (pixel // GEOMETRY[3]) % GEOMETRY[2]
    column = pixel % GEOMETRY[3]
    image = pixel // (GEOMETRY[2] * GEOMETRY[3])
    y = row * GEOMETRY[5] + (tap // GEOMETRY[4]) * GEOMETRY[7] - GEOMETRY[9]
    x = column * GEOMETRY[6] + (tap % GEOMETRY[4]) * GEOMETRY[8] - GEOMETRY[10]
    inside = (y >= 0) & (y < GEOMETRY[0]) & (x >= 0) & (x < GEOMETRY[1])
    return (image * GEOMETRY[0] + y) * GEOMETRY[1] + x, inside


@triton.jit
def window(pixel, k, units, GEOMETRY: tl.constexpr):
    """Which input pixel and unit the k-th unit under output pixel ``pixel`` is, and whether it lies in the image.

    A tap of the kernel has ``units`` units (words, bytes or channels), so k counts tap by tap.
    """
    at, inside = under(pixel, k // units, GEOMETRY)
    return at, k % units, inside


@triton.jit
def corrected(raw, base, kinds, pixel, live, n, limit, channels, SCALE: tl.constexpr, GEOMETRY: tl.constexpr):
    """raw (BM, BN) → accumulators ``SCALE · raw + base``; ``base`` (kinds, channels) holds what each border needs."""
    if GEOMETRY is None:
        start = tl.load(base + n, mask=n < limit, other=0)[None, :]
    else:
        kind = tl.load(kinds + pixel % (GEOMETRY[2] * GEOMETRY[3]))
        exists = live[:, None] & (n < limit)[None, :]
        start = tl.load(base + kind[:, None] * channels + n[None, :], mask=exists, other=0)
    return raw * SCALE + start


@triton.jit
def split_sum(total, sums, tickets, pixel, live, n, limit, pixels, channels, part, PARTS: tl.constexpr):
    """Where PARTS programs have added up a share of the depth each: (the whole sum, whether this one is the last).

    Integers: any order of addition is exact. ``tickets`` (tiles of all groups,) are 0 before the first, and after.
    """
    exists = live[:, None] & (n < limit)[None, :]
    at = pixel[:, None] * channels + n[None, :]
    tl.store(sums + part * (pixels * channels) + at, total, mask=exists)
    tl.debug_barrier()  # all threads of this program have stored before one of them draws
    ticket = tickets + tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    last = tl.atomic_add(ticket, 1, sem="acq_rel") == PARTS - 1
    whole = tl.zeros_like(total)
    if last:
        for one in tl.static_range(PARTS):
            whole += tl.load(sums + one * (pixels * channels) + at, mask=exists, other=0, cache_modifier=".cg")
        tl.store(ticket, 0)
    return whole, last


@triton.jit
def finish(
    acc,
    out,
    pixel,
    live,
    first,
    limit,
    channels,
    thresholds,
    rising,
    scale,
    offset,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
):
    """Store a tile of accumulators (BM, BN), as MODE says, at ``pixel`` (BM,) and channels from ``first``.

    What is not ``live`` (BM,) and channels from ``limit`` on are not there. BITS packs 32 channels into a word and
    stores whole 64-bit words, the bits behind the last channel as 0; BN is a multiple of 32, and so is ``first``.
    CODES stores LOW + STEP · (how many of LEVELS thresholds are passed).
    """
    BM: tl.constexpr = acc.shape[0]
    BN: tl.constexpr = acc.shape[1]
    n = first + tl.arange(0, BN)
    there = n < limit
    exists = live[:, None] & there[None, :]
    at = pixel[:, None] * channels + n[None, :]
    if MODE == ACCUMULATOR:
        tl.store(out + at, acc, mask=exists)
    elif MODE == AFFINE:
        # One rounded multiply, one rounded add: kernels that come here are compiled with enable_fp_fusion=False.
        product = acc.to(tl.float32) * tl.load(scale + n, mask=there, other=0)[None, :]
        tl.store(out + at, product + tl.load(offset + n, mask=there, other=0)[None, :], mask=exists)
    elif MODE == CODES:
        up = tl.load(rising + n, mask=there, other=0)[None, :] != 0
        count = tl.zeros((BM, BN), tl.int32)
        for level in range(LEVELS):
            bar = tl.load(thresholds + n * LEVELS + level, mask=there, other=0)[None, :]
            count += ((acc >= bar) == up).to(tl.int32)
        tl.store(out + at, (count * STEP + LOW).to(tl.int8), mask=exists)
    else:
        up = tl.load(rising + n, mask=there, other=0)[None, :] != 0
        bar = tl.load(thresholds + n, mask=there, other=0)[None, :]
        store_words((((acc >= bar) == up) & exists).to(tl.int32), out, pixel, live, first, limit, channels)


@triton.jit
def store_words(bit, out, pixel, live, first, limit, channels):
    """Store 0 / 1 (BM, BN) as words (BM, BN / 32), at the words that ``first`` … ``limit`` fill."""
    BM: tl.constexpr = bit.shape[0]
    BN: tl.constexpr = bit.shape[1]
    place = tl.arange(0, 32)[None, None, :]
    words = tl.sum(tl.reshape(bit, (BM, BN // 32, 32)) << place, axis=2)  # no two share a bit: the sum is the or
    word = first // 32 + tl.arange(0, BN // 32)
    exists = live[:, None] & (word < (limit + 63) // 64 * 2)[None, :]
    tl.store(out + pixel[:, None] * ((channels + 63) // 64 * 2) + word[None, :], words, mask=exists)
