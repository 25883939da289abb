"""Xor and popcount on the CUDA cores: the papers' kernel (BinaryNet, Run-time/binary_kernels.cu), without its limits.

The dot product of ±1 rows is ``depth − 2 · popcount(a ^ w)``. A bipolar code of K bits is K such rows, the n-th worth
2^n, so the first layer on raw bytes (b8) is eight of them. Activations lie as (planes, pixels, words).
"""

from __future__ import annotations

import triton
import triton.language as tl

from binarynet.gpu.language import INTERPRETED, corrected, finish, popcount, popcount_long, quick, under, window

# BM, BN, warps: 32 sums a thread at most, or addresses and operands leave the registers.
_TUNED = [(64, 128, 8), (128, 64, 8), (64, 64, 4)]
_TILES = [(64, 64, 4)] if INTERPRETED else _TUNED
# Words, channels, times that, warps: a thread has `UNROLL` loads of 16 bytes under way.
_ROW_TUNED = [(32, 32, 4, 8), (32, 32, 2, 8), (32, 64, 2, 16)]
_STRIPS = [(32, 32, 2, 8)] if INTERPRETED else _ROW_TUNED
ROWS = 16
"""Up to so many rows the time goes into reading weights: `xnor_row`, where each is read once for `TOGETHER` rows."""
TOGETHER = 4


@triton.autotune(
    [triton.Config({"BM": m, "BN": n}, num_warps=w) for m, n, w in _TILES],
    key=["bucket", "width", "depth", "PLANES", "GEOMETRY"],
    do_bench=quick,
)
@triton.jit
def xnor_tile(
    x,
    weight,
    out,
    base,
    kinds,
    thresholds,
    rising,
    scale,
    offset,
    pixels,
    x_pixels,
    x_words,
    depth,
    width,
    channels,
    bucket,
    PLANES: tl.constexpr,
    UNITS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    """A tile of BM pixels × BN channels; weights (words, channels): lanes of a warp read neighbouring channels.

    Words have 64 bits here, which halves the loads and the addresses. ``depth`` counts them, UNITS those of a tap.
    """
    group = tl.program_id(1)
    tiles_m, tiles_n = tl.cdiv(pixels, BM), tl.cdiv((width + 63) // 64 * 64, BN)
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tiles_m, tiles_n, 8)
    pixel = tile_m * BM + tl.arange(0, BM)
    live = pixel < pixels
    first, limit = group * width + tile_n * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    # What lies past the end reads the last row or channel and is not stored, so that no load needs a mask.
    columns = weight + tl.minimum(n, limit - 1)
    source = tl.minimum(pixel, pixels - 1)
    count = tl.zeros((BM, BN), tl.int32)
    whole: tl.constexpr = GEOMETRY is None
    for tap in range(0, 1 if whole else depth // UNITS):
        if GEOMETRY is None:
            at, inside = source, live
        else:
            at, inside = under(source, tap, GEOMETRY)
        row = x + at * x_words + group * UNITS
        for unit in range(0, depth if whole else UNITS):
            w = tl.load(columns + (tap * UNITS + unit) * channels).to(tl.uint64, bitcast=True)
            for plane in range(PLANES):
                place = row + (plane * x_pixels * x_words + unit)
                a = tl.load(place) if GEOMETRY is None else tl.load(place, mask=inside, other=0)
                count += popcount_long(a.to(tl.uint64, bitcast=True)[:, None] ^ w[None, :]) << plane
    acc = corrected(count, base, kinds, pixel, live, n, limit, channels, -2, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)


@triton.autotune(
    [triton.Config({"BK": k, "BN": n, "UNROLL": u}, num_warps=w) for k, n, u, w in _STRIPS],
    key=["pixels", "width", "depth", "PLANES"],
    do_bench=quick,
)
@triton.jit
def xnor_row(
    x,
    weight,
    out,
    base,
    kinds,
    thresholds,
    rising,
    scale,
    offset,
    pixels,
    x_pixels,
    x_words,
    depth,
    width,
    channels,
    PLANES: tl.constexpr,
    UNITS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    BN: tl.constexpr,
    UNROLL: tl.constexpr,
):
    """BM pixels (a few) × BN channels; weights (channels, words), each read once for all BM.

    The threads of a program share the depth, BK words at a time, and add up their parts at the end.
    """
    group = tl.program_id(1)
    pixel = tl.program_id(2) * BM + tl.arange(0, BM)
    live = pixel < pixels
    first, limit = group * width + tl.program_id(0) * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    count = tl.zeros((BM, BN, BK), tl.int32)
    for start in range(0, depth, BK * UNROLL):
        for step in tl.static_range(UNROLL):
            k = (start + step * BK + tl.arange(0, BK))[None, None, :]
            exists = (n < limit)[None, :, None] & (k < depth)
            w = tl.load(weight + n[None, :, None] * depth + k, mask=exists, other=0).to(tl.uint32, bitcast=True)
            if GEOMETRY is None:
                at, unit, inside = pixel[:, None, None], k, live[:, None, None] & (k < depth)
            else:
                at, unit, inside = window(pixel[:, None, None], k, UNITS, GEOMETRY)
                inside &= live[:, None, None] & (k < depth)
            for plane in range(PLANES):
                row = x + (plane * x_pixels + at) * x_words + group * UNITS + unit
                # Fewer of these than threads: the compiler then loads them in the layout of the weights.
                a = tl.load(row, mask=inside, other=0).to(tl.uint32, bitcast=True)
                count += popcount(a ^ w) << plane
    raw = tl.sum(count, axis=2)
    acc = corrected(raw, base, kinds, pixel, live, n, limit, channels, -2, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)
